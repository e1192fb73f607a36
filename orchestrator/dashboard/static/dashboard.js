// Small comforts; every page works without them.
"use strict";

const MOST_LINES = 2000;

// Where there is no live stream, because the server has too many or a newer page of ours has it, a page looks by itself.
const LOOK_EVERY = 10000;
let looking = 0;

// Whoever comes back to a page that looks by itself does not wait for its next look.
document.addEventListener("visibilitychange", () => { if (looking) look(); });

function look() {
  if (document.hidden) return;
  for (const part of document.querySelectorAll("[hx-trigger^='sse:']")) htmx.trigger(part, part.getAttribute("hx-trigger"));
}

class Stream extends EventSource {
  constructor(url) {
    super(url);
    const alone = () => { if (!looking) looking = setInterval(look, LOOK_EVERY); };
    this.addEventListener("open", () => { clearInterval(looking); looking = 0; });
    this.addEventListener("error", alone);
    this.addEventListener("end", alone);
  }
  // A stream that breaks and comes back by itself is no fault.
  set onerror(told) {
    this.addEventListener("error", (event) => { if (this.readyState === EventSource.CLOSED) told(event); });
  }
}
htmx.createEventSource = (url) => new Stream(url);

// The newest log line stays in view while the box says so, and old lines go.
document.addEventListener("htmx:afterSwap", (event) => {
  const list = event.target;
  if (!(list instanceof Element) || !list.classList.contains("lines")) return;
  while (list.childElementCount > MOST_LINES) list.firstElementChild.remove();
  const follow = document.getElementById("follow");
  if (!follow || follow.checked) list.scrollTop = list.scrollHeight;
});

// A part that comes anew takes away no half-filled form, shuts nothing that somebody has opened, and leaves the focus
// where it was. One that says what it said before is left as it is.
const said = new WeakMap();
let before = null;
document.addEventListener("htmx:beforeSwap", (event) => {
  const target = event.detail.target, active = document.activeElement;
  const inside = active && target.contains(active);
  if ((inside && active.closest("form")) || said.get(target) === event.detail.serverResponse) {
    event.detail.shouldSwap = false;
    return;
  }
  said.set(target, event.detail.serverResponse);
  const folds = new Map();
  for (const fold of target.querySelectorAll("details")) folds.set(fold.querySelector("summary").textContent, fold.open);
  before = { target, folds, href: inside ? active.getAttribute("href") : null };
});
document.addEventListener("htmx:afterSwap", (event) => {
  if (!before || before.target !== event.target) return;
  for (const fold of event.target.querySelectorAll("details")) {
    const open = before.folds.get(fold.querySelector("summary").textContent);
    if (open !== undefined) fold.open = open;
  }
  const link = before.href && event.target.querySelector(`a[href="${CSS.escape(before.href)}"]`);
  if (link) link.focus({ preventScroll: true });
  before = null;
});

// The state is read out when it has changed, and nothing else of the part that came with it.
let spoken = null;
function speak() {
  const heading = document.querySelector("h1[data-say]"), status = document.getElementById("said");
  if (!heading || !status) return;
  if (spoken !== null && spoken !== heading.dataset.say) status.textContent = heading.dataset.say;
  spoken = heading.dataset.say;
}
document.addEventListener("DOMContentLoaded", speak);
document.addEventListener("htmx:afterSwap", speak);

// A form that was sent is not sent twice.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "yes";
});
window.addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});
