"""The bodies of the rules, one module for each step: typed functions of the datasets and the job's files.

A body gets the datasets, the dataset's name and the job's wildcards and files. It returns lines for the job's log, or
None where there is nothing to log, and raises a SegchipsError where the job cannot be done.
"""
