// Small comforts; every page works without them.
"use strict";

const MOST_LINES = 2000;

// The newest log line stays in view while the box says so, and old lines go.
document.addEventListener("htmx:afterSwap", (event) => {
  const list = event.target;
  if (!(list instanceof Element) || !list.classList.contains("lines")) return;
  while (list.childElementCount > MOST_LINES) list.firstElementChild.remove();
  const follow = document.getElementById("follow");
  if (!follow || follow.checked) list.scrollTop = list.scrollHeight;
});

// A part that comes anew must not shut what somebody has opened, nor take away a half-filled form.
document.addEventListener("htmx:beforeSwap", (event) => {
  const target = event.detail.target;
  const form = document.activeElement && document.activeElement.closest("form");
  if (form && target.contains(form)) event.detail.shouldSwap = false;
});

// A form that was sent is not sent twice.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "yes";
});
window.addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});
