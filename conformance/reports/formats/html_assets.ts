// SPDX-License-Identifier: GPL-2.0-only

/**
 * The style and the script of the HTML report. Both are part of the page: it
 * is one file and needs no network.
 *
 * @module
 */

/** The page's style sheet: light or dark as the reader's system asks for. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --text: #1d2328; --soft: #59636e; --page: #ffffff; --panel: #f6f8fa;
  --line: #d1d9e0; --link: #0a58ca; --focus: #0a58ca;
  --good: #116329; --good-back: #dafbe1; --bad: #a40e26; --bad-back: #ffe3e0;
  --note: #7a4b00; --note-back: #fff3c4;
}
@media (prefers-color-scheme: dark) {
  :root {
    --text: #e6edf3; --soft: #9aa5b1; --page: #0f141a; --panel: #171d24;
    --line: #333c46; --link: #78b4ff; --focus: #78b4ff;
    --good: #7ee2a0; --good-back: #11331f; --bad: #ff9c94; --bad-back: #4a1519;
    --note: #f2cc60; --note-back: #3a2d05;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 100rem; padding: 1.5rem clamp(1rem, 3vw, 3rem);
  font: 1rem/1.5 system-ui, sans-serif; color: var(--text); background: var(--page);
}
h1 { font-size: 1.5rem; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
p { margin: .25rem 0; }
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
nav ul { display: flex; gap: 1.5rem; margin: .75rem 0 0; padding: 0; list-style: none; }
.soft { color: var(--soft); }
code, pre, .mono { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .875em; }
@media (max-width: 60rem) { .scroll { overflow-x: auto; } }
table { border-collapse: collapse; }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem; border-bottom: 1px solid var(--line); }
thead th { position: sticky; top: 0; background: var(--panel); z-index: 1; }
.tests { width: 100%; }
.tests tbody th { font-weight: normal; }
.tests tbody tr.group th { font-weight: 600; background: var(--panel); }
.tests tr.case th { padding-left: 2.25rem; }
.tests .what { display: block; font-size: .875rem; color: var(--soft); }
.status { display: inline-block; min-width: 4.5rem; padding: 0 .5rem; border-radius: .75rem; text-align: center; font-weight: 600; font-size: .875rem; }
.good { color: var(--good); background: var(--good-back); }
.bad { color: var(--bad); background: var(--bad-back); }
.note { color: var(--note); background: var(--note-back); }
a.status { text-decoration: underline; }
.why { font-size: .8125rem; color: var(--soft); }
form { display: flex; flex-wrap: wrap; gap: .75rem 1.25rem; align-items: end; margin: .75rem 0; padding: .75rem 1rem; background: var(--panel); border: 1px solid var(--line); border-radius: .5rem; }
form label { display: flex; flex-direction: column; font-size: .875rem; }
form label.check { flex-direction: row; gap: .4rem; align-items: center; padding-bottom: .4rem; }
input[type=search], select { font: inherit; padding: .3rem .5rem; min-width: 12rem; color: inherit; background: var(--page); border: 1px solid var(--soft); border-radius: .3rem; }
input[type=search] { min-width: min(24rem, 80vw); }
form output { margin-left: auto; padding-bottom: .4rem; }
.failure { border: 1px solid var(--line); border-left: .3rem solid var(--bad); border-radius: .3rem; margin: .35rem 0; background: var(--panel); }
.failure:target { outline: 3px solid var(--focus); }
.failure summary { cursor: pointer; padding: .35rem .75rem; overflow-wrap: anywhere; }
.failure > div { padding: 0 .75rem .75rem; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .15rem 1rem; margin: .5rem 0; }
dt { color: var(--soft); }
dd { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .875rem; }
pre { margin: .5rem 0; padding: .75rem; max-height: 30rem; overflow: auto; background: var(--page); border: 1px solid var(--line); border-radius: .3rem; }
[hidden] { display: none !important; }
@media print { form { display: none; } thead th { position: static; } }
`;

/** The page's script: it hides the rows that the reader does not ask for. Without it, all of them are there. */
export const SCRIPT = `
"use strict";
const form = document.querySelector("form");
const rows = [...document.querySelectorAll("tr[data-status]")];
const groups = [...document.querySelectorAll(".tests tbody")];
const total = rows.length;
function matches(row, words, status, different, cases) {
  const quiet = row.matches(".case") && row.dataset.bad === undefined;
  if (quiet && !cases && words.length === 0) return false;
  if (different && row.dataset.different === undefined) return false;
  const has = row.dataset.status.split(" ");
  if (status === "bad" && row.dataset.bad === undefined) return false;
  if (status !== "" && status !== "bad" && !has.includes(status)) return false;
  const text = row.dataset.text;
  return words.every((word) => text.includes(word));
}
function filter() {
  const data = new FormData(form);
  const words = data.get("search").toLowerCase().split(/\\s+/).filter(Boolean);
  const status = data.get("status");
  const different = data.get("different") !== null;
  const cases = data.get("cases") !== null;
  let shown = 0;
  for (const row of rows) {
    row.hidden = !matches(row, words, status, different, cases);
    if (!row.hidden) shown++;
  }
  for (const group of groups) {
    group.hidden = !group.querySelector("tr[data-status]:not([hidden])");
  }
  form.querySelector("output").value = shown + " of " + total + " tests and cases";
}
function openTarget() {
  const place = location.hash && document.getElementById(location.hash.slice(1));
  if (!place || !place.matches("details")) return;
  place.open = true;
  place.scrollIntoView();
}
form.hidden = false;
form.addEventListener("input", filter);
form.addEventListener("reset", () => setTimeout(filter));
form.addEventListener("submit", (event) => event.preventDefault());
addEventListener("hashchange", openTarget);
filter();
openTarget();
`;
