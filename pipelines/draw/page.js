"use strict";
const $ = id => document.getElementById(id);
const form = $("form"), grid = $("grid"), large = $("large");
let about = null;     // the answer of GET /about
let drawing = null;   // the AbortController of the running request
let pictures = [];    // the pictures received, in the order of the grid
let request = null;   // the request they belong to, with the run's own settings filled in

// The address holds the form's values, so a drawing can be bookmarked and the back button works.
function fill(values) {
  for (const field of form.elements)
    if (field.name && values[field.name] != null) field.value = values[field.name];
}
function formValues() {
  const values = {};
  for (const field of form.elements)
    if (field.name && field.closest("[hidden]") === null)
      values[field.name] = field.type === "number" ? field.valueAsNumber : field.value;
  return values;
}
function fromAddress() {
  fill({ ...about.settings, prompt: "", ...Object.fromEntries(new URLSearchParams(location.search)) });
}

function fail(sentence) {
  $("error").textContent = sentence;
  $("error").hidden = !sentence;
}
function time(seconds) {
  const whole = Math.max(1, Math.ceil(seconds));
  return whole < 90 ? `${whole} s` : whole < 5400 ? `${Math.round(whole / 60)} min` : `${Math.round(whole / 3600)} h`;
}

// Progress: between two events it is estimated from the time.
const clock = {
  total: 0, drawn: 0, began: 0, estimate: null, timer: 0,
  start(event) {
    Object.assign(this, { total: event.candidates, drawn: 0, began: performance.now(), estimate: event.seconds });
    clearInterval(this.timer);
    this.timer = setInterval(() => this.show(), 250);
    this.show();
  },
  count() {
    this.drawn += 1;
    this.estimate = (performance.now() - this.began) / 1000 * this.total / this.drawn;
    this.show();
  },
  show() {
    const passed = (performance.now() - this.began) / 1000;
    let sentence = `${this.drawn} of ${this.total} drawn`;
    const bar = $("progress");
    bar.max = this.total;
    if (this.estimate === null) bar.removeAttribute("value");
    else {
      const next = Math.min(this.total, this.drawn + about.tile);
      bar.value = Math.max(this.drawn, Math.min(next, passed / this.estimate * this.total));
      if (this.drawn < this.total) sentence += `, about ${time(this.estimate - passed)} left`;
    }
    $("status").textContent = sentence;
  },
  stop() { clearInterval(this.timer); },
};

function resetGrid(count) {
  for (const picture of pictures) URL.revokeObjectURL(picture.url);
  if ($("sheet").href) URL.revokeObjectURL($("sheet").href);
  pictures = [];
  grid.replaceChildren(...Array.from({ length: count }, () => {
    const cell = document.createElement("button"), frame = document.createElement("span"), score = document.createElement("span");
    cell.type = "button"; cell.className = "cell"; cell.disabled = true;
    frame.className = "frame"; score.className = "score";
    cell.append(frame, score);
    return cell;
  }));
}
function blob(base64) {
  const bytes = Uint8Array.from(atob(base64), letter => letter.charCodeAt(0));
  return URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
}

const onEvent = {
  waiting(event) {
    const ahead = event.ahead === 1 ? "1 drawing is ahead of yours" : `${event.ahead} drawings are ahead of yours`;
    $("status").textContent = ahead + (event.seconds === null ? "" : `, about ${time(event.seconds)}`);
    $("progress").removeAttribute("value");
  },
  started(event) {
    request = event.settings;
    $("notes").textContent = event.notes.join(" ");
    $("notes").hidden = event.notes.length === 0;
    clock.start(event);
  },
  picture(event) {
    const picture = { ...event, url: blob(event.png), cell: grid.children[event.candidate] };
    delete picture.png;
    const image = new Image();
    image.src = picture.url;
    image.alt = `candidate ${event.candidate}`;
    picture.cell.firstChild.append(image);
    picture.cell.lastChild.textContent = event.score.toFixed(3);
    picture.cell.disabled = false;
    picture.cell.addEventListener("click", () => enlarge(pictures.indexOf(picture)));
    pictures.push(picture);
    clock.count();
  },
  done(event) {
    clock.stop();
    const open = large.open ? pictures[current] : null;
    pictures = event.ranking.map(number => pictures.find(picture => picture.candidate === number));
    pictures.forEach((picture, rank) => {
      picture.rank = rank;
      picture.cell.classList.toggle("best", rank < request.top);
    });
    const focused = document.activeElement;
    grid.replaceChildren(...pictures.map(picture => picture.cell));
    if (grid.contains(focused)) focused.focus();
    if (open) enlarge(pictures.indexOf(open));
    $("progress").value = $("progress").max = pictures.length;
    $("status").textContent = `${pictures.length} drawn in ${time(event.seconds)}, best by ${event.ranked_by} first.`;
    const link = $("sheet");
    link.href = blob(event.sheet);
    link.download = event.file;
    link.hidden = false;
  },
  failed(event) { throw new Error(event.error); },
};

// Yield the JSON lines of a response, which may arrive in pieces of any length.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) yield JSON.parse(line);
  }
}

async function draw(values) {
  const stop = drawing = new AbortController();
  let last = null;
  fail("");
  busy(true);
  try {
    const response = await fetch("draw", {
      method: "POST", signal: stop.signal,
      headers: { "content-type": "application/json" }, body: JSON.stringify(values),
    });
    if (!response.ok) throw new Error((await response.json()).error);
    resetGrid(values.candidates);
    $("state").hidden = false;
    $("sheet").hidden = $("notes").hidden = true;
    for await (const event of events(response.body)) {
      last = event.event;
      onEvent[last](event);
    }
    if (last !== "done") throw new TypeError();
  } catch (error) {
    clock.stop();
    if (error.name === "AbortError") $("status").textContent = `Stopped; ${pictures.length} drawn.`;
    else {
      fail(error instanceof TypeError ? "The server cannot be reached; is it still running?" : error.message);
      if (pictures.length === 0) { $("state").hidden = true; resetGrid(0); }
    }
    for (const cell of [...grid.children]) if (cell.disabled) cell.remove();
  } finally {
    busy(false);
    drawing = null;
  }
}
function busy(is) {
  $("draw").hidden = is;
  $("stop").hidden = !is;
  document.body.classList.toggle("drawing", is);
}

let current = 0;
function enlarge(index) {
  const picture = pictures[index];
  current = index;
  $("picture").src = picture.url;
  $("picture").alt = `${request.prompt}, candidate ${picture.candidate}`;
  $("words").textContent = request.prompt;
  const facts = {
    "CLIP score": picture.score.toFixed(4), rank: picture.rank === undefined ? "not ranked yet" : `${picture.rank + 1} of ${pictures.length}`,
    candidate: picture.candidate, seed: request.seed, temperature: request.temperature, "top-k": request.top_k, "top-p": request.top_p,
  };
  if (about.takes_guidance) facts.guidance = request.guidance;
  $("facts").replaceChildren(...Object.entries(facts).flatMap(([name, value]) => {
    const term = document.createElement("dt"), detail = document.createElement("dd");
    term.textContent = name; detail.textContent = value;
    return [term, detail];
  }));
  $("save").href = picture.url;
  $("save").download = picture.file;
  $("before").disabled = index === 0;
  $("after").disabled = index === pictures.length - 1;
  if (!large.open) large.showModal();
}
function step(by) { if (pictures[current + by]) enlarge(current + by); }

form.addEventListener("submit", event => {
  event.preventDefault();
  if (drawing || !about) return;
  const values = formValues();
  if (!values.prompt.trim()) {
    fail("Say what to draw.");
    return $("prompt").focus();
  }
  const address = `?${new URLSearchParams(values)}`;
  if (address !== location.search) history.pushState(null, "", address);
  document.title = values.prompt.trim().slice(0, 60);
  draw(values);
});
$("prompt").addEventListener("keydown", event => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); form.requestSubmit(); }
});
$("stop").addEventListener("click", () => drawing?.abort());
$("dice").addEventListener("click", () => { form.elements.seed.value = crypto.getRandomValues(new Uint32Array(1))[0] % 1e6; });
$("before").addEventListener("click", () => step(-1));
$("after").addEventListener("click", () => step(1));
$("close").addEventListener("click", () => large.close());
large.addEventListener("click", event => { if (event.target === large) large.close(); });
large.addEventListener("keydown", event => { if (event.key === "ArrowLeft") step(-1); if (event.key === "ArrowRight") step(1); });
large.addEventListener("close", () => pictures[current]?.cell.focus());
addEventListener("popstate", fromAddress);

(async () => {
  try {
    about = await (await fetch("about")).json();
  } catch {
    return fail("The server cannot be reached; is it still running?");
  }
  form.elements.candidates.max = about.limits.candidates;
  form.elements.top_k.max = about.codes;
  $("prompt").maxLength = about.limits.characters;
  $("guidance").hidden = !about.takes_guidance;
  for (const part of [grid, $("picture")]) part.classList.toggle("crisp", about.side <= 96);
  fromAddress();
  $("draw").disabled = false;
  $("prompt").focus();
})();
