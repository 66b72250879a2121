// Loads the page anew when the record has grown; without scripts everything stays readable, and is current when loaded.

const sign = document.getElementById("live");
let waiting = false;

function busy() {
  const active = document.activeElement;
  const written = [...document.querySelectorAll("main input, main textarea")].some((each) => each.value !== each.defaultValue);
  return written || (active && active.closest("form") && active.closest("main"));
}

async function renew() {
  if (waiting || busy()) return;
  waiting = true;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const [fresh, shown] = [page.querySelector("main"), document.querySelector("main")];
    if (!answer.ok || !fresh) return;
    const open = [...shown.querySelectorAll("details")].map((each) => each.open);
    fresh.querySelectorAll("details").forEach((each, number) => (each.open = open[number] ?? each.open));
    shown.replaceChildren(...fresh.childNodes);
    document.querySelector(".foot").textContent = page.querySelector(".foot").textContent;
    document.title = page.title;
  } finally {
    waiting = false;
  }
}

const source = new EventSource("/live");
source.addEventListener("open", () => {
  sign.textContent = "live";
  sign.classList.add("on");
});
source.addEventListener("error", () => {
  sign.textContent = "not live";
  sign.classList.remove("on");
});
source.addEventListener("grown", renew);
