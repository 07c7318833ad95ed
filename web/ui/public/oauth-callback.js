// Runs on the page that the server shows after a provider sent the browser back. It tells
// the tab that began the connect, and closes this window only when all went well: an
// error stays on the screen until a person has read it. The tab also asks the server by
// itself, so nothing depends on this message or on window.opener.
const result = document.documentElement.dataset;
if (result.credential) {
  const channel = new BroadcastChannel('keyflow.credential.connect');
  channel.postMessage({ id: result.credential, ok: result.ok === 'true' });
  channel.close();
}
if (result.ok === 'true') {
  window.close();
}
