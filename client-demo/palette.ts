// The colours that mean something. A node has one for life: found by its name, so every page agrees and a restart
// keeps it. Gold is the crown's alone, white is you.

export const INK = "#0a0c10";
export const FLOOR = "#10131a";
/** Under the lights, in the middle. */
export const LIT = "#1b202b";
export const LINE = "#262d3b";
export const TEXT = "#e9ecf3";
export const DIM = "#8a93a6";
export const GOLD = "#ffcf5c";
export const ICE = "#bcd3f5";
export const ALARM = "#ff6464";

/** The same faces as style.css, for the canvas. */
export const FACE = `Inter, "Avenir Next", "Segoe UI Variable", "Segoe UI", system-ui, -apple-system, sans-serif`;

const NODE_COLOURS = [
  "#45d0bf",
  "#f4749f",
  "#8f9cff",
  "#a4df62",
  "#ff9a56",
  "#58b7ff",
  "#d488ff",
  "#ef6f5e",
  "#7fe0a0",
  "#c9b8ff",
] as const;
const NOWHERE = "#4a5264";

/** A node's colour. `node-a`, `node-b`, … take the first ones in order, other names what their letters add up to. */
export function nodeColour(nodeId: string | null | undefined): string {
  if (nodeId === null || nodeId === undefined || nodeId === "") return NOWHERE;
  const letter = /(?:^|[-_])([a-z])$/i.exec(nodeId)?.[1];
  const number = /(\d+)$/.exec(nodeId)?.[1];
  let index = 0;
  if (letter !== undefined) index = letter.toLowerCase().charCodeAt(0) - 97;
  else if (number !== undefined) index = Number(number) % 1_000;
  else for (const character of nodeId) index = (index * 31 + (character.codePointAt(0) ?? 0)) % 65_521;
  return NODE_COLOURS[index % NODE_COLOURS.length] ?? NOWHERE;
}

const LOOK_COLOURS = [
  "#6f86b8",
  "#b9816f",
  "#6fa392",
  "#a78bb5",
  "#b3a26b",
  "#7d9bb0",
  "#b5768e",
  "#8aa36c",
  "#8583bd",
  "#b08f78",
  "#66a0a8",
  "#a27f9e",
] as const;

/** A player's colour: quiet, so that the frame, the crown and you stand out. */
export function lookColour(look: number): string {
  return LOOK_COLOURS[look % LOOK_COLOURS.length] ?? LOOK_COLOURS[0];
}
