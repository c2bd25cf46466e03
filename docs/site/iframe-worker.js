/* Browsers refuse workers in pages that are opened as files. There, the search runs in a hidden frame instead. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      frame.worker = this
      this.loaded = new Promise(resolve => frame.addEventListener("load", resolve)).then(() => frame.contentWindow)
      const answer = "data => frameElement.worker.dispatchEvent(new MessageEvent('message', {data}))"
      frame.srcdoc = `<script>window.postMessage = ${answer}</script><script src="${url}"></script>`
      document.body.append(frame)
    }
    postMessage(data) {
      this.loaded.then(frame => frame.dispatchEvent(new frame.MessageEvent("message", {data})))
    }
    terminate() {}
  }
}
