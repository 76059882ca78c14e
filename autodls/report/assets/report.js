"use strict";
(() => {
  const all = (selector, from = document) => Array.from(from.querySelectorAll(selector));
  document.documentElement.classList.add("scripted");

  // Filter boxes: a row stays when it holds what is typed and has the chosen state.
  function refilter(table) {
    const rows = all("tbody tr", table);
    const typed = all(`[data-filter="${table.id}"]`).map((box) => box.value.trim().toLowerCase());
    const states = all(`[data-states="${table.id}"]`).map((box) => box.value).filter(Boolean);
    for (const row of rows) {
      const text = Array.from(row.children, (cell) => cell.textContent).join("\n").toLowerCase();
      row.hidden = !typed.every((part) => text.includes(part)) || !states.every((state) => row.dataset.state === state);
    }
    const left = rows.filter((row) => !row.hidden).length;
    for (const count of all(`[data-count="${table.id}"]`)) count.textContent = `${left} of ${rows.length} rows`;
  }
  for (const box of all("[data-filter], [data-states]")) {
    const table = document.getElementById(box.dataset.filter || box.dataset.states);
    for (const event of ["input", "change"]) box.addEventListener(event, () => refilter(table));
    refilter(table);
  }
  window.addEventListener("beforeprint", () => all("tbody tr[hidden]").forEach((row) => { row.hidden = false; }));
  window.addEventListener("afterprint", () => all("table[id]").forEach(refilter));

  // Sortable tables: numbers as numbers, anything else as text, empty cells last.
  const value = (row, at) => row.children[at].textContent.replace("\u2212", "-").trim();
  function compare(a, b) {
    const blank = (text) => text === "" || text === "\u2013";
    if (blank(a) || blank(b)) return { order: blank(a) - blank(b), fixed: true };
    const [x, y] = [Number(a), Number(b)];
    const numeric = !Number.isNaN(x) && !Number.isNaN(y);
    return { order: numeric ? x - y : a.localeCompare(b, "en", { numeric: true }), fixed: false };
  }
  for (const button of all("table[data-sortable] thead button")) {
    button.addEventListener("click", () => {
      const head = button.closest("th");
      const body = button.closest("table").tBodies[0];
      const at = Array.from(head.parentNode.children).indexOf(head);
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
      const rows = Array.from(body.rows).sort((one, two) => {
        const { order, fixed } = compare(value(one, at), value(two, at));
        return fixed ? order : sign * order;
      });
      body.append(...rows);
    });
  }

  // The cut-off: everything is counted anew from the rows of the score table.
  const explorer = document.querySelector("[data-explorer]");
  if (!explorer) return;
  const cases = all("#scores tr[data-score]").map((row) => ({
    score: Number(row.dataset.score), positive: row.dataset.positive === "1",
  }));
  const slider = explorer.querySelector("input[type=range]");
  const part = (name) => explorer.querySelector(`[data-show="${name}"]`);

  function wilson(hits, total) {
    if (!total) return "\u2013";
    if ("plain" in explorer.dataset) return (hits / total).toFixed(3); // not those of metrics.json
    const z = 1.959963984540054, share = hits / total, scale = 1 + z * z / total;
    const centre = (share + z * z / (2 * total)) / scale;
    const half = (z / scale) * Math.sqrt(share * (1 - share) / total + z * z / (4 * total * total));
    const [low, high] = [Math.max(centre - half, 0), Math.min(centre + half, 1)];
    return `${share.toFixed(3)} (${low.toFixed(3)}\u2013${high.toFixed(3)})`;
  }
  function confusion(cutoff) {
    const found = { tp: 0, fp: 0, fn: 0, tn: 0 };
    for (const { score, positive } of cases) found[(score >= cutoff ? (positive ? "tp" : "fp") : (positive ? "fn" : "tn"))] += 1;
    return found;
  }
  function show(cutoff) {
    const { tp, fp, fn, tn } = confusion(cutoff);
    const shown = {
      tp, fp, fn, tn, cutoff: cutoff.toFixed(3),
      sensitivity: wilson(tp, tp + fn), specificity: wilson(tn, tn + fp), ppv: wilson(tp, tp + fp),
      npv: wilson(tn, tn + fn), accuracy: wilson(tp + tn, tp + fp + fn + tn),
    };
    for (const [name, text] of Object.entries(shown)) part(name).textContent = text;
    slider.value = cutoff;
    slider.setAttribute("aria-valuetext",
      `cut-off ${shown.cutoff}, sensitivity ${shown.sensitivity}, specificity ${shown.specificity}`);
    const line = explorer.querySelector(".cut");
    const { left, right, low, high } = Object.fromEntries(Object.entries(line.dataset).map(([key, text]) => [key, Number(text)]));
    const x = left + (right - left) * (cutoff - low) / (high - low);
    line.setAttribute("x1", x);
    line.setAttribute("x2", x);
  }
  const sorted = [...new Set(cases.map(({ score }) => score))].sort((a, b) => a - b);
  const chosen = {
    locked: () => Number(explorer.dataset.locked),
    sensitive: () => sorted.filter((at) => { const { tp, fn } = confusion(at); return tp >= 0.9 * (tp + fn); }).pop(),
    specific: () => sorted.find((at) => { const { tn, fp } = confusion(at); return tn >= 0.9 * (tn + fp); }) ?? Number(slider.max),
  };
  slider.addEventListener("input", () => show(Number(slider.value)));
  for (const button of all("[data-cut]", explorer)) button.addEventListener("click", () => show(chosen[button.dataset.cut]()));
  show(chosen.locked());
})();
