// SPDX-License-Identifier: GPL-2.0-only

/**
 * The page: a program, the call that was made last, and what the kernel holds
 * after it.
 *
 * @module
 */

import { REVISION_NAMES, type RevisionName } from "@iommufd/kit";
import { type Details, type Field, type KeyPress, window } from "./browser.ts";
import { linkTo, type Place, placeAt } from "../play/link.ts";
import { Player } from "../play/player.ts";
import { kernelsFor, SCENARIOS } from "../scenarios/mod.ts";
import { callView } from "./call_view.ts";
import { byId, h } from "./dom.ts";
import { Playing } from "./playing.ts";
import { stateView, type Zooms } from "./state_view.ts";
import { stepsView } from "./steps_view.ts";

const OWN = "";

const scenario = byId("scenario") as Field;
const revision = byId("revision") as Field;
const speed = byId("speed") as Field;
const slider = byId("slider") as Field;
const editor = byId("editor");
const text = byId("text") as Field;
const error = byId("error");
const steps = byId("steps");
const call = byId("call");
const state = byId("state");

/** What kernels are called. */
const CALLED: Readonly<Record<RevisionName, string>> = {
  "7.3": "Linux 7.3",
  "6.12": "Linux 6.12",
  "v3": "The series v3, of 2022",
};

const playing = new Playing({
  step: () => {
    const last = player.lines.length;
    if (here.position < last) go(here.position + 1);
    return here.position < last;
  },
  pause: () => Number(speed.value),
  onChange: (isOn) => {
    const button = byId("play");
    button.textContent = isOn ? "Pause" : "Play";
    button.setAttribute("aria-label", isOn ? "Pause" : "Play the steps");
    state.setAttribute("data-plays", String(isOn));
  },
});

/** Plays, from the beginning where it is at the end, or pauses. */
function play(): void {
  if (here.position === player.lines.length) go(0);
  playing.toggle();
}

/** Goes somewhere by hand: what played pauses. */
function goTo(position: number): void {
  playing.stop();
  go(position);
}

/** What is looked at, and the program of it. */
let here: Place;
let player: Player;
const zooms: Zooms = new Map();

/** Goes to a place; what cannot be read is told, and the page stays where it is. */
function open(place: Place): boolean {
  playing.stop();
  try {
    player = new Player(place.text, place.revision);
  } catch (reason) {
    refuse(place, reason);
    return false;
  }
  here = place;
  zooms.clear();
  error.textContent = "";
  scenario.value = place.scenario ?? OWN;
  revision.replaceChildren(
    ...kernelsFor(place.scenario).map((value) =>
      h("option", { value }, CALLED[value])
    ),
  );
  revision.value = place.revision;
  go(place.position);
  return true;
}

/** Shows a program that cannot be read, with the reason. */
function refuse({ text: wrong }: Place, reason: unknown): void {
  if (here === undefined) open(placeAt(""));
  text.value = wrong;
  edit(true);
  error.textContent = reason instanceof Error ? reason.message : `${reason}`;
  text.focus();
}

/** Shows the kernel after so many steps. */
function go(position: number): void {
  const last = player.lines.length;
  here = { ...here, position: Math.max(0, Math.min(position, last)) };
  window.history.replaceState(null, "", linkTo(here));
  slider.max = String(last);
  slider.value = String(here.position);
  slider.setAttribute("aria-valuetext", `${here.position} of ${last}`);
  byId("position").textContent = `${here.position} of ${last}`;
  for (const id of ["first", "back"]) disable(id, here.position === 0);
  for (const id of ["forward", "last"]) disable(id, here.position === last);
  draw();
}

function disable(id: string, isOff: boolean): void {
  byId(id).setAttribute("aria-disabled", String(isOff));
}

/** Draws all that depends on the place. */
function draw(): void {
  const hadFocus = steps.contains(window.document.activeElement);
  steps.replaceChildren(...stepsView(player.lines, here.position, goTo));
  const now = steps.querySelector(".now");
  if (now) steps.scrollTop = now.offsetTop - steps.clientHeight / 3;
  else if (here.position === 0) steps.scrollTop = 0;
  if (hadFocus) now?.querySelector("button")?.focus({ preventScroll: true });
  try {
    const { made, shot } = player.at(here.position);
    const before = player.at(Math.max(0, here.position - 1)).shot;
    const wasOpen = (state.querySelector("details") as Details | null)?.open ??
      false;
    const width = Math.floor(state.clientWidth) - 2;
    call.replaceChildren(...callView(made));
    state.replaceChildren(
      ...stateView(shot, before, { width, zooms, redraw: draw }),
    );
    (state.querySelector("details") as Details).open = wasOpen;
  } catch (reason) {
    const why = `The model failed: ${reason}`;
    call.replaceChildren(h("p", { class: "why", role: "alert" }, why));
    state.replaceChildren();
  }
}

/** Opens or closes the editor. */
function edit(isOpen: boolean): void {
  playing.stop();
  editor.hidden = !isOpen;
  byId("edit").setAttribute("aria-expanded", String(isOpen));
}

function fillSelects(): void {
  scenario.append(
    ...SCENARIOS.map(({ id, title }) => h("option", { value: id }, title)),
    h("option", { value: OWN }, "A program of your own"),
  );
}

function listen(): void {
  const on = (id: string, act: () => void) =>
    byId(id).addEventListener("click", act);
  on("first", () => goTo(0));
  on("back", () => goTo(here.position - 1));
  on("forward", () => goTo(here.position + 1));
  on("last", () => goTo(player.lines.length));
  on("play", play);
  on("edit", () => {
    text.value = here.text;
    edit(editor.hidden);
    if (!editor.hidden) text.focus();
  });
  on("copy", copyLink);
  slider.addEventListener("input", () => goTo(Number(slider.value)));
  scenario.addEventListener("change", () => {
    if (scenario.value === OWN) {
      text.value = here.text;
      edit(true);
      text.focus();
      return;
    }
    edit(false);
    const to = `#scenario=${scenario.value}&revision=${here.revision}`;
    open(placeAt(to));
  });
  revision.addEventListener("change", () => {
    const chosen = REVISION_NAMES.find((name) => name === revision.value);
    if (chosen && !open({ ...here, revision: chosen })) {
      revision.value = here.revision;
    }
  });
  editor.addEventListener("submit", (event) => {
    event.preventDefault();
    const own = { ...here, scenario: undefined, text: text.value };
    if (open(own)) edit(false);
  });
  window.addEventListener(
    "hashchange",
    () => open(placeAt(window.location.hash)),
  );
  window.addEventListener("resize", draw);
  window.addEventListener("keydown", onKey);
}

const KEYS: Readonly<Record<string, () => void>> = {
  ArrowLeft: () => goTo(here.position - 1),
  ArrowRight: () => goTo(here.position + 1),
  Home: () => goTo(0),
  End: () => goTo(player.lines.length),
  p: play,
};

/** Keys step, but where they have another meaning. */
function onKey(event: Event): void {
  const { key, altKey, ctrlKey, metaKey } = event as KeyPress;
  const { activeElement } = window.document;
  const isTyping = activeElement?.closest("input, select, textarea, pre");
  if (isTyping || altKey || ctrlKey || metaKey || KEYS[key] === undefined) {
    return;
  }
  event.preventDefault();
  KEYS[key]();
}

async function copyLink(): Promise<void> {
  const said = byId("copied");
  try {
    await window.navigator.clipboard.writeText(window.location.href);
    said.textContent = "The link is copied.";
  } catch {
    said.textContent = "The link is in the address bar.";
  }
}

fillSelects();
listen();
open(placeAt(window.location.hash));
