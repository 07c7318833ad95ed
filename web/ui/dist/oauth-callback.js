// Runs on the page that the server shows after a provider sent the browser back. It tells
// the tab that began the connect, and closes this window only when all went well: an
// error stays on the screen until a person has read it. The tab also asks the server by
// itself, so nothing depends on this message or on window.opener.
const { credential = '', ok } = document.documentElement.dataset;
const channel = new BroadcastChannel('keyflow.credential.connect');
channel.postMessage({ id: credential, ok: ok === 'true' });
channel.close();
if (ok === 'true') {
  window.close();
}
