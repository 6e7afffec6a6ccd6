"use strict";
// Keeps an open page as fresh as the sandbox: the server reports changes,
// the page asks for itself again and takes over what is different. Without this script
// every page and every form works too.

const EVENTS = "/console/events";
const PAUSE = 400; // Milliseconds between two askings, at the least.

// Taking over a fresh page ---------------------------------------------------

// What the visitor has done to an element is the visitor's.
const OWN = new Set(["open", "value", "checked", "selected"]);

function morph(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !keeps(old, name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value && !keeps(old, name)) old.setAttribute(name, value);
  }
  const keyed = new Map();
  for (const child of old.children) {
    if (child.dataset.key !== undefined) keyed.set(child.dataset.key, child);
  }
  // A problem comes with blanks around it, or without; they must not shift the rest.
  const loose = idOf(old) === "content";
  const skip = (node) => {
    while (loose && isBlank(node)) node = node.nextSibling;
    return node;
  };
  let at = skip(old.firstChild);
  for (const node of [...fresh.childNodes]) {
    if (loose && isBlank(node)) continue;
    const key = node.dataset?.key;
    let match = null;
    if (key !== undefined) {
      match = keyed.get(key) ?? null;
      keyed.delete(key);
      if (match && match.nodeName !== node.nodeName) match = null;
    } else if (at && at.nodeName === node.nodeName && at.dataset?.key === undefined && idOf(at) === idOf(node)) {
      match = at;
    }
    if (!match) {
      const born = document.importNode(node, true);
      if (key !== undefined) born.classList.add("fresh");
      old.insertBefore(born, at);
      continue;
    }
    if (match === at) at = skip(at.nextSibling);
    else old.insertBefore(match, at);
    if (match.nodeType === Node.ELEMENT_NODE) morph(match, node);
    else if (match.nodeValue !== node.nodeValue) match.nodeValue = node.nodeValue;
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function isBlank(node) {
  return node?.nodeType === Node.TEXT_NODE && node.nodeValue.trim() === "";
}

// Not .id, which in a form is its field of that name.
function idOf(node) {
  return node.nodeType === Node.ELEMENT_NODE ? node.getAttribute("id") : null;
}

function keeps(element, name) {
  if (name === "open") return element.nodeName === "DETAILS";
  if (!OWN.has(name)) return false;
  return ["INPUT", "SELECT", "TEXTAREA"].includes(element.nodeName)
    && element.type !== "hidden";
}

const parser = new DOMParser();

function take(text, withProblem) {
  const fresh = parser.parseFromString(text, "text/html");
  if (!fresh.body.dataset.version) throw new Error("not a page of the console");
  // What was wrong with a form stays until the next is sent.
  const problem = withProblem && document.getElementById("problem");
  if (problem) fresh.getElementById("content").prepend(problem.cloneNode(true));
  const live = document.getElementById("live");
  const state = live && { on: live.classList.contains("on"), text: live.textContent };
  document.title = fresh.title;
  document.documentElement.lang = fresh.documentElement.lang;
  fresh.getElementById("toast").replaceWith(document.getElementById("toast").cloneNode(true));
  morph(document.body, fresh.body);
  if (state) tellLive(state.on);
  settle();
}

// Asking -----------------------------------------------------------------------

let asking = null;
let timer = 0;
let earliest = 0;
let wakeUp = 0;

async function ask(url) {
  asking?.abort();
  const mine = (asking = new AbortController());
  const began = performance.now();
  try {
    const response = await fetch(url, { signal: mine.signal, headers: { Accept: "text/html" } });
    const text = await response.text();
    if (mine === asking) take(text, url === location.href);
  } catch (error) {
    if (error.name !== "AbortError") tellLive(false);
  } finally {
    if (mine === asking) {
      asking = null;
      // What is slow to make is asked for more seldom.
      const took = performance.now() - began;
      earliest = performance.now() + Math.max(PAUSE, 10 * took);
      // Something may have changed meanwhile.
      if (seen !== document.body.dataset.version) refresh();
    }
  }
}

function refresh() {
  if (timer || asking || document.hidden) return;
  timer = setTimeout(() => {
    timer = 0;
    if (!busy) ask(location.href);
  }, Math.max(0, earliest - performance.now()));
}

let seen = document.body.dataset.version;
let stream = null;

function listen() {
  stream?.close();
  stream = null;
  // A hidden page holds no connection: a browser has but six of them.
  if (document.hidden) return;
  stream = new EventSource(EVENTS);
  stream.onopen = () => tellLive(true);
  stream.onerror = () => {
    tellLive(false);
    if (stream.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
  };
  stream.onmessage = (event) => {
    seen = event.data;
    if (seen !== document.body.dataset.version) refresh();
  };
}

function tellLive(on) {
  const live = document.getElementById("live");
  live.hidden = false;
  live.classList.toggle("on", on);
  live.textContent = on ? live.dataset.on : live.dataset.off;
}

document.addEventListener("visibilitychange", listen);
window.addEventListener("pagehide", () => stream?.close());
window.addEventListener("pageshow", (event) => { if (event.persisted) listen(); });
window.addEventListener("popstate", () => ask(location.href));

// Time ---------------------------------------------------------------------------

let shownAt = performance.now();

function now() {
  const { now, speed } = document.body.dataset;
  return Number(now) + ((performance.now() - shownAt) / 1000) * Number(speed);
}

function pad(number) {
  return String(number).padStart(2, "0");
}

function tick() {
  const moment = now();
  const clock = document.getElementById("clock");
  const china = new Date((moment + 8 * 3600) * 1000);
  if (clock && !Number.isNaN(china.getTime())) {
    clock.textContent = china.toISOString().slice(0, 19).replace("T", " ");
  }
  for (const element of document.querySelectorAll("[data-ends]")) {
    const left = Math.max(0, Number(element.dataset.ends) - moment);
    if (element.nodeName === "PROGRESS") {
      element.value = left;
    } else {
      const whole = Math.ceil(left);
      element.textContent = `${Math.floor(whole / 3600)}:${pad(Math.floor(whole / 60) % 60)}:${pad(whole % 60)}`;
    }
  }
}

// After each fresh page.
function settle() {
  shownAt = performance.now();
  tick();
  tellMeaning();
  clearTimeout(wakeUp);
  const wait = document.body.dataset.wait;
  // A timer takes no more than some 24 days.
  if (wait) wakeUp = setTimeout(refresh, Math.min(Number(wait) + 50, 2 ** 31 - 1));
}

setInterval(() => { if (!document.hidden) tick(); }, 1000);

// Forms --------------------------------------------------------------------------

let busy = false;
let sent = Promise.resolve();

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.hasAttribute("data-plain")) return;
  event.preventDefault();
  // Not disabled: that would take the focus away.
  if (event.submitter?.getAttribute("aria-disabled") === "true") return;
  if (form.method === "get") {
    search(form);
    return;
  }
  const body = new URLSearchParams(new FormData(form, event.submitter));
  sent = sent.then(() => send(form, body));
});

async function send(form, body) {
  busy = true;
  asking?.abort();
  asking = null;
  try {
    const response = await fetch(form.getAttribute("action"), {
      method: "POST",
      body,
      headers: { Accept: "text/html" },
    });
    const text = await response.text();
    const here = response.redirected && response.url !== location.href.split("#")[0];
    if (here) history.pushState(null, "", response.url);
    take(text);
    if (response.ok) {
      if (form.isConnected) form.reset();
      toast(form.dataset.done ?? document.body.dataset.done);
      if (here) {
        window.scrollTo(0, 0);
        document.getElementById("content").focus({ preventScroll: true });
      }
    } else {
      document.querySelector(".problem")?.focus();
    }
  } catch {
    tellLive(false);
    toast(document.body.dataset.silent);
  } finally {
    busy = false;
    if (seen !== document.body.dataset.version) refresh();
  }
}

function search(form) {
  const fields = [...new FormData(form)].filter(([, value]) => value !== "");
  const query = new URLSearchParams(fields).toString();
  const url = form.getAttribute("action") + (query ? `?${query}` : "");
  history.replaceState(null, "", url);
  ask(url);
}

let typing = 0;

document.addEventListener("input", (event) => {
  if (event.target.id === "errcode") tellMeaning();
  const form = event.target.closest("form[data-search]");
  if (!form) return;
  clearTimeout(typing);
  typing = setTimeout(search, 250, form);
});

function tellMeaning() {
  const input = document.getElementById("errcode");
  const output = document.getElementById("meaning");
  if (!input || !output) return;
  const number = input.value.trim();
  const row = [...document.querySelectorAll("#errcodes option")].find((each) => each.value === number);
  output.textContent = number === "" ? output.dataset.empty : row ? row.textContent : output.dataset.unknown;
  output.classList.toggle("known", Boolean(row));
}

// Copying ------------------------------------------------------------------------

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const { copy, whole, done } = button.dataset;
  let text = document.getElementById(copy).textContent;
  try {
    if (whole) {
      const page = await (await fetch(whole)).text();
      text = parser.parseFromString(page, "text/html").getElementById(copy).textContent;
    }
    await write(text);
    toast(done);
  } catch {
    toast(document.body.dataset.failedCopy);
  }
});

async function write(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  // Where the page came by a name that the browser does not trust.
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("not copied");
}

let toasting = 0;

function toast(text) {
  const place = document.getElementById("toast");
  place.textContent = text;
  place.classList.add("on");
  clearTimeout(toasting);
  toasting = setTimeout(() => place.classList.remove("on"), 2500);
}

settle();
listen();
