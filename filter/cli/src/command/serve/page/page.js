// Puts what the server has rendered anew in the place of what it has rendered before.
"use strict";

const state = document.getElementById("state");
const RETRY_AFTER_MS = 10_000;

function take(html) {
  const rendered = new DOMParser().parseFromString(html, "text/html");
  for (const section of rendered.querySelectorAll("[data-live]")) {
    const before = document.getElementById(section.id);
    if (before && !before.isEqualNode(section)) {
      before.replaceWith(section);
    }
  }
}

function listen() {
  const source = new EventSource("live");
  source.onopen = () => {
    state.textContent = "live";
    state.classList.add("is-live");
  };
  source.onmessage = (event) => take(JSON.parse(event.data));
  source.onerror = () => {
    if (state.classList.contains("is-live")) {
      state.textContent = "as of " + new Date().toISOString().replace(/\.\d+/, "");
      state.classList.remove("is-live");
    }
    // A connection that broke is made again by the browser; one that was refused is not.
    if (source.readyState === EventSource.CLOSED) {
      setTimeout(listen, RETRY_AFTER_MS);
    }
  };
}

listen();
