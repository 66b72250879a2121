// Asks the browser for a passkey and sends what it signed; everything else on these pages works without scripts.

const button = document.getElementById("passkey");
const message = document.getElementById("message");
const left = document.getElementById("left");
const ends = new Date(button.dataset.ends);

const bytes = (text) =>
  Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (each) => each.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const known = (list) => (list ?? []).map((each) => ({ ...each, id: bytes(each.id) }));

function say(sentence, tone = "") {
  message.textContent = sentence;
  message.className = tone;
}

function options() {
  const given = JSON.parse(button.dataset.options);
  const made = { ...given, challenge: bytes(given.challenge) };
  if (given.user) made.user = { ...given.user, id: bytes(given.user.id) };
  if (given.allowCredentials) made.allowCredentials = known(given.allowCredentials);
  if (given.excludeCredentials) made.excludeCredentials = known(given.excludeCredentials);
  return { publicKey: made };
}

function asJson(credential) {
  const answer = credential.response;
  const response = { clientDataJSON: text(answer.clientDataJSON) };
  for (const part of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (answer[part]) response[part] = text(answer[part]);
  }
  if (answer.getTransports) response.transports = answer.getTransports();
  return {
    id: credential.id,
    rawId: text(credential.rawId),
    type: credential.type,
    authenticatorAttachment: credential.authenticatorAttachment ?? undefined,
    clientExtensionResults: credential.getClientExtensionResults(),
    response,
  };
}

function explain(error) {
  const nothing = button.dataset.nothing;
  switch (error.name) {
    case "NotAllowedError":
      return `The passkey was not used: it was cancelled, took too long, or is not on this device. ${nothing} Try again.`;
    case "InvalidStateError":
      return `This device holds a passkey of yours already. ${nothing}`;
    case "SecurityError":
      return `Passkeys do not work at this address. ${nothing} Open the link exactly as you got it.`;
    default:
      return `The browser could not use a passkey (${error.name}). ${nothing} Try again, or use another device.`;
  }
}

async function send(credential) {
  const label = document.getElementById("label");
  const body = label ? { credential: asJson(credential), label: label.value } : asJson(credential);
  const answer = await fetch(button.dataset.to, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "text/html" },
    body: JSON.stringify(body),
  });
  const next = answer.headers.get("x-continue");
  if (answer.ok && next?.startsWith("/") && !next.startsWith("//")) {
    location.assign(next);
    return;
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const told = page.querySelector("main");
  if (!told) throw new Error("no page");
  document.title = page.title;
  document.querySelector("main").replaceWith(document.adoptNode(told));
  told.setAttribute("role", "alert");
  told.focus();
  window.scrollTo(0, 0);
}

async function ask() {
  button.disabled = true;
  say("Waiting for your passkey…");
  let credential;
  try {
    credential = await navigator.credentials[button.dataset.move](options());
  } catch (error) {
    say(explain(error), "bad");
    button.disabled = false;
    return;
  }
  say("Checking…");
  try {
    await send(credential);
  } catch {
    say("The server did not answer, so it is not known whether this counted. Load this page again: it will tell.", "bad");
  }
}

function count() {
  if (!button.isConnected) return;
  const seconds = Math.floor((ends - Date.now()) / 1000);
  if (seconds <= 0) {
    left.textContent = " (expired)";
    button.disabled = true;
    say("The link has expired. Ask for a new one where you got this one.", "bad");
    return;
  }
  const minutes = Math.floor(seconds / 60);
  left.textContent = minutes > 0 ? ` (${minutes} min ${seconds % 60} s left)` : ` (${seconds} s left)`;
  setTimeout(count, 1000);
}

if (!window.isSecureContext || !window.PublicKeyCredential) {
  say("This browser cannot use passkeys here. Open the link over https in a current browser.", "bad");
} else {
  button.disabled = false;
  button.addEventListener("click", ask);
  count();
}
