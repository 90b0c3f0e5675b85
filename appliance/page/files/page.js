// The kiosk's screen: draws what the page's server says, and asks for nothing but its stream. What was said is text and
// never markup. The server's messages are those of appliance/page/content.py and edge/control.py.
"use strict";

const SILENCE_MS = 2000;     // The server speaks every second.
const AGAIN_MS = 500;        // Between two attempts to reach it.
const MOST_SAID = 12;        // Rows; more than any screen shows.
const FLOOR_DB = -60;        // A quiet room.
const FIT_STEPS = [1, 0.85, 0.7, 0.6];

const at = (id) => document.getElementById(id);
const still = matchMedia("(prefers-reduced-motion: reduce)");

let hello = null;            // The server's first message; null before it was ever reached.
let socket = null;
let silence = 0;             // Timer: it has said nothing for too long.
let drawing = null;          // The light's animation.
let light = "";
let waitedSince = 0;
const rows = new Map();      // By side, turn and response: {row, text, timer}.

function element(name, text, lang) {
  const made = document.createElement(name);
  made.textContent = text;
  if (lang) made.lang = lang;
  return made;
}

// A paragraph for each of the page's languages.
function paragraphs(name, className) {
  return hello.languages.map((language) => {
    // A number is not broken over two lines.
    const text = hello.words[name][language].replace("{phone}", hello.phone.replaceAll(" ", "\u00a0"));
    const made = element("p", text, language);
    if (className) made.className = className;
    return made;
  });
}

// The same as one line, for a name that only a screen reader says.
function line(name) {
  return hello.languages.map((language) => hello.words[name][language]).join(" / ");
}

function connect() {
  const token = location.hash.slice(1);
  try {
    socket = new WebSocket(`ws://${location.host}/watch`, ["voice-appliance", token]);
  } catch {
    return;                  // No token in the address: the words that stand in the page stay.
  }
  const mine = socket;
  mine.onmessage = (message) => {
    heard();
    take(JSON.parse(message.data));
  };
  mine.onclose = () => { if (mine === socket) lost(); };
  heard();
}

function heard() {
  clearTimeout(silence);
  silence = setTimeout(lost, SILENCE_MS);
}

function lost() {
  clearTimeout(silence);
  const gone = socket;
  socket = null;
  if (gone) gone.close();
  if (hello) without("no_page");
  setTimeout(connect, AGAIN_MS);
}

function take(event) {
  switch (event.event) {
    case "hello": begin(event); break;
    case "daemon": without("no_daemon"); break;
    case "state": state(event); break;
    case "caption": caption(event); break;
    case "level": level(event.dbfs); break;
  }
}

function begin(event) {
  const first = hello === null;
  hello = event;
  document.documentElement.lang = hello.languages[0];
  if (hello.title) {
    document.title = hello.title;
    at("title").textContent = hello.title;
  }
  at("said").setAttribute("aria-label", line("said"));
  at("level").setAttribute("aria-label", line("level"));
  if (hello.logo && first) {
    at("logo").src = "/logo";
    at("logo").hidden = false;
  }
  const button = at("press");
  button.hidden = !hello.touch;
  button.replaceChildren(...hello.languages.map((language) => {
    const made = element("span", hello.words.press[language], language);
    made.append(" ");
    return made;
  }));
}

// ------------------------------------------------------------ the state

function state(event) {
  const name = event.light in hello.words ? event.light : "starting";
  const listens = name === "listening" || name === "listening_ending";
  at("hearing").hidden = !listens;
  if (!listens) level(FLOOR_DB);
  const waits = name === "wait" || name === "retrying";
  if (!waits) waitedSince = 0;
  else if (!waitedSince) waitedSince = performance.now();
  waited();
  draw(event.light);
  if (name.startsWith("fault_")) fault(name, "call");
  else words(name);
  fit();
}

// The box, or its page's server, is not there: nothing of it is known, and what is still being said ends.
function without(name) {
  at("hearing").hidden = true;
  waitedSince = 0;
  waited();
  draw("");
  fault(name);
  for (const kept of rows.values()) leave(kept);
}

function words(name) {
  at("fault").replaceChildren();
  show(at("state"), name, paragraphs(name));
}

function fault(name, call) {
  at("state").replaceChildren();
  delete at("state").dataset.name;
  show(at("fault"), name, [...paragraphs(name), ...(call ? paragraphs(call, "call") : [])]);
  at("fault").dataset.name = name;
}

// A live region is spoken again whenever it is written.
function show(place, name, content) {
  const text = content.map((part) => part.textContent).join("\n");
  if (place.dataset.name === name && place.innerText && place.dataset.text === text) return;
  place.dataset.name = name;
  place.dataset.text = text;
  place.replaceChildren(...content);
}

function waited() {
  const seconds = waitedSince ? Math.floor((performance.now() - waitedSince) / 1000) : 0;
  at("waited").hidden = seconds < 1;
  at("waited").textContent = `${seconds} s`;
}

function level(dbfs) {
  const share = Math.min(1, Math.max(0, 1 - dbfs / FLOOR_DB));
  at("bar").style.transform = `scaleX(${share})`;
  at("level").setAttribute("aria-valuenow", Math.round(Math.max(dbfs, FLOOR_DB)));
}

// ------------------------------------------------------------ the light

function draw(name) {
  if (name === light && drawing !== null) return;
  light = name;
  if (drawing) drawing.cancel();
  drawing = null;
  const lamp = at("light");
  const look = hello.lights[name];
  lamp.style.opacity = 0;
  if (!look) return;
  lamp.style.background = `rgb(${look.colour.join(", ")})`;
  const brightest = Math.max(...look.frames.map((frame) => frame[1]));
  lamp.style.opacity = brightest;
  // Who wants no motion gets the colour; the words beside it say the rest.
  if (look.period_ms === 0 || still.matches) return;
  const easing = look.fades ? "linear" : "steps(1, end)";
  const frames = look.frames.map(([offset, opacity]) => ({ offset, opacity, easing }));
  const last = look.repeats && look.fades ? frames[0].opacity : frames[frames.length - 1].opacity;
  frames.push({ offset: 1, opacity: last });
  drawing = lamp.animate(frames, {
    duration: look.period_ms,
    iterations: look.repeats ? Infinity : 1,
    fill: "forwards",
  });
}

still.addEventListener("change", () => { if (hello) { const name = light; light = ""; draw(name); } });

// ------------------------------------------------------------ what is said

function caption(event) {
  const key = `${event.side} ${event.turn} ${event.response}`;
  let kept = rows.get(key);
  // A person is understood in parts when they pause; a reply comes in pieces, and once more as it was heard.
  const whole = event.side === "box" && event.until_s !== null;
  const before = kept && !whole ? kept.text + (event.side === "person" ? " " : "") : "";
  const text = before + event.text;
  if (!text.trim()) {
    if (kept) remove(key, kept);
    return;
  }
  if (!kept) {
    kept = add(event.side);
    kept.key = key;
    rows.set(key, kept);
  }
  kept.text = text;
  kept.row.lastChild.textContent = text;
  clearTimeout(kept.timer);
  kept.timer = 0;
  if (event.until_s !== null) leave(kept);
  fit();
}

function add(side) {
  const row = document.createElement("div");
  row.className = side;
  const heading = document.createElement("h2");
  hello.languages.forEach((language, place) => {
    heading.append(place ? " / " : "", element("span", hello.words[side][language], language));
  });
  row.append(heading, element("p", "", "ml"));
  at("said").append(row);
  while (rows.size >= MOST_SAID) {
    const [key, oldest] = rows.entries().next().value;
    remove(key, oldest);
  }
  return { row, text: "", timer: 0 };
}

// It goes when it has stood long enough.
function leave(kept) {
  if (!kept.timer) kept.timer = setTimeout(() => { remove(kept.key, kept); fit(); }, 1000 * hello.keep_s);
}

function remove(key, kept) {
  clearTimeout(kept.timer);
  kept.row.remove();
  rows.delete(key);
}

// The newest is read from its beginning: it is made smaller, down to a bound, before it would not fit.
function fit() {
  const said = at("said");
  const newest = said.lastElementChild;
  // Half a line says nothing.
  said.classList.toggle("cramped", said.clientHeight < 1.5 * parseFloat(getComputedStyle(said).fontSize));
  if (!newest) return;
  for (const step of FIT_STEPS) {
    newest.style.fontSize = `${step}em`;
    if (newest.offsetHeight <= said.clientHeight) break;
  }
  const over = newest.offsetHeight > said.clientHeight;
  said.scrollTop = over ? newest.offsetTop - said.offsetTop : said.scrollHeight;
}

// ------------------------------------------------------------ the button on the screen

function edge(down) {
  if (hello && hello.touch && socket && socket.readyState === WebSocket.OPEN) socket.send(down ? "press" : "release");
}

let held = false;

function press() {
  if (!held) edge(true);
  held = true;
}

function release() {
  if (held) edge(false);
  held = false;
}

at("press").addEventListener("pointerdown", (event) => {
  event.target.closest("button").setPointerCapture(event.pointerId);
  press();
});
for (const name of ["pointerup", "pointercancel", "blur"]) at("press").addEventListener(name, release);
at("press").addEventListener("keydown", (event) => {
  if (!event.repeat && (event.key === " " || event.key === "Enter")) press();
});
at("press").addEventListener("keyup", (event) => {
  if (event.key === " " || event.key === "Enter") release();
});
at("press").addEventListener("contextmenu", (event) => event.preventDefault());

setInterval(waited, 500);
addEventListener("resize", fit);
connect();
