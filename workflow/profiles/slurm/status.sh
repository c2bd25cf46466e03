#!/bin/sh
# Prints the state of a SLURM job for Snakemake: success, failed or running. Tells the user where the log of a failed job is.
job=$(scontrol --oneliner show job "$1" 2>&1)
field() { printf '%s' "$job" | sed -n "s/.* $1=\([^ ]*\).*/\1/p"; }
failed() {
  echo "SLURM job $1 $2" >&2
  echo failed
}
state=$(field JobState)
case $job in
*"Invalid job id"*)
  state=$(sacct --allocations --noheader --parsable2 --format=State --jobs="$1" 2>/dev/null)
  state=${state:-FORGOTTEN}
  ;;
esac
case $state:$(field Reason) in
COMPLETED:*) echo success ;;
PENDING:BadConstraints | PENDING:PartitionConfig | PENDING:PartitionTimeLimit | PENDING:*PerJob*)
  scancel "$1"
  asked="$(field TimeLimit), $(field NumCPUs) CPUs and $(field MinMemoryNode) in partition $(field Partition)"
  failed "$1" "can never start ($(field Reason)) and is cancelled: it asks for $asked; lower runtime, cores, mem_mb or the chips of a job (group-components) in workflow/profiles/slurm/config.yaml, or take another partition"
  ;;
BOOT_FAIL:* | CANCELLED* | DEADLINE:* | FAILED:* | FORGOTTEN:* | NODE_FAIL:* | OUT_OF_MEMORY:* | TIMEOUT:*)
  log=$(ls logs/slurm/*-"$1".log 2>/dev/null)
  failed "$1" "ended as $state: ${log:-it left no log in logs/slurm}"
  grep --no-messages --max-count=3 "^Error: " "$log" >&2 || true
  ;;
*) echo running ;;
esac
