// The live page asks for what is new every two seconds, and takes each section that changed in place of the old one.
const EVERY_MS = 2000;
const LATE_S = 15;
const main = document.getElementById("content");
const pulse = document.getElementById("pulse");
const told = document.getElementById("told");

function known() {
  const marks = new URLSearchParams();
  for (const section of main.children) marks.set(section.id.slice(2), section.dataset.mark ?? "");
  return marks;
}

function isUsed(section) {
  const at = document.activeElement;
  return section.contains(at) && at.matches("input, select");
}

function replaceSection(old, fresh) {
  const open = new Set([...old.querySelectorAll("details[open] > summary")].map((summary) => summary.textContent));
  const closed = new Set([...old.querySelectorAll("details:not([open]) > summary")].map((summary) => summary.textContent));
  const at = document.activeElement;
  const table = old.contains(at) ? at.closest("table") : null;
  const place = table ? [table.id, [...table.querySelectorAll("button")].indexOf(at)] : null;
  const scrolled = [...old.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
  const before = new Map([...old.querySelectorAll("[data-chart]")].map((figure) => [figure.dataset.chart, figure]));
  old.innerHTML = fresh.html;
  old.dataset.mark = fresh.mark;
  for (const summary of old.querySelectorAll("details > summary")) {
    if (open.has(summary.textContent)) summary.parentElement.open = true;
    else if (closed.has(summary.textContent)) summary.parentElement.open = false;
  }
  for (const figure of old.querySelectorAll("[data-chart]")) {
    const key = figure.dataset.chart;
    const same = JSON.stringify(specs[key]) === JSON.stringify(fresh.specs[key]);
    specs[key] = fresh.specs[key];
    const earlier = before.get(key);
    if (!earlier) continue;
    if (same && earlier.querySelector(".plot").dataset.drawn) figure.replaceWith(earlier);
    else figure.querySelector(".plot").replaceChildren(...earlier.querySelector(".plot").childNodes); // till it is drawn
  }
  prepare(old);
  [...old.querySelectorAll(".scroll")].forEach((one, n) => { one.scrollLeft = scrolled[n] ?? 0; });
  if (place) document.getElementById(place[0])?.querySelectorAll("button")[place[1]]?.focus({ preventScroll: true });
}

function take(news) {
  for (const fresh of news.sections) {
    let section = document.getElementById(`s-${fresh.key}`);
    if (section && isUsed(section)) continue; // it comes again
    if (!section) {
      section = document.createElement("section");
      section.id = `s-${fresh.key}`;
      section.setAttribute("aria-labelledby", `h-${fresh.key}`);
      main.append(section);
      Object.assign(specs, fresh.specs);
    }
    replaceSection(section, fresh);
  }
  for (const section of [...main.children]) if (!news.order.includes(section.id.slice(2))) section.remove();
  news.order.forEach((key, n) => {
    const section = document.getElementById(`s-${key}`);
    if (section && main.children[n] !== section) main.insertBefore(section, main.children[n]);
  });
  const contents = document.getElementById("contents");
  const wanted = [...main.children].map((section) => [section.id, section.querySelector("h2").textContent]);
  if (contents.children.length !== wanted.length) {
    contents.replaceChildren(...wanted.map(([id, title]) => {
      const link = document.createElement("a");
      link.href = `#${id}`;
      link.textContent = title;
      const item = document.createElement("li");
      item.append(link);
      return item;
    }));
  }
  document.getElementById("subtitle").textContent = news.subtitle;
  const age = Date.now() / 1000 - news.at_s;
  const at = new Date(news.at_s * 1000).toLocaleTimeString();
  pulse.classList.toggle("late", age > LATE_S || news.trouble !== "");
  const text = news.trouble ? `The page is as of ${at}: ${news.trouble}` : age > LATE_S ? `The page is as of ${at}: the server is behind.` : news.running ? "Live: a search works on this run." : "Live: no search works on this run.";
  if (pulse.textContent !== text) pulse.textContent = text;
}

async function ask() {
  try {
    const answer = await fetch(`/update?${known()}`, { credentials: "same-origin" });
    if (!answer.ok) throw new Error(`it answered ${answer.status}`);
    take(await answer.json());
  } catch (error) {
    pulse.classList.add("late");
    pulse.textContent = "The page's server doesn't answer: was `emofuse search dashboard` closed?";
  }
  setTimeout(ask, EVERY_MS);
}

document.getElementById("actions").addEventListener("click", async (event) => {
  const { action } = event.target.dataset;
  if (!action || !confirm(`${event.target.textContent.trim()}?`)) return;
  const answer = await fetch(`/do/${action}`, { method: "POST", credentials: "same-origin" });
  told.textContent = answer.headers.get("Content-Type")?.includes("json") ? (await answer.json()).told : await answer.text();
});

setTimeout(ask, EVERY_MS);
