// What may be typed while the cluster runs, pure: a line in, a command or a hint out.

export type Command =
  | { readonly name: "kill" | "freeze" | "thaw" | "drain"; readonly nodeId: string }
  | { readonly name: "add" | "list" | "quit" }
  | { readonly name: "none"; readonly hint: string };

export const HELP =
  "kill b · freeze b · thaw b · drain b · add · list · quit  (first letters do, then Enter)";

const ON_NODE = ["kill", "freeze", "thaw", "drain"] as const;
const ALONE = ["add", "list", "quit"] as const;

/** `k b`, `kb`, `kill b` and `kill node-b` all mean the same. */
export function parseCommand(line: string): Command {
  const words = line.trim().toLowerCase().split(/\s+/);
  const [verb = "", name = ""] = words.length === 1 ? splitShort(words[0] ?? "") : words;
  if (verb === "") return { name: "none", hint: HELP };
  const alone = ALONE.find((each) => each.startsWith(verb));
  if (alone !== undefined && name === "") return { name: alone };
  const onNode = ON_NODE.find((each) => each.startsWith(verb));
  if (onNode === undefined)
    return { name: "none", hint: `"${line.trim().slice(0, 40)}" is not known here: ${HELP}` };
  if (name === "") return { name: "none", hint: `which node? For example: ${onNode} b` };
  return { name: onNode, nodeId: /^[a-z]$/.test(name) ? `node-${name}` : name };
}

/** "kb" is "k b"; whole words stay as they are. */
function splitShort(word: string): string[] {
  return /^[kftd][a-z]$/.test(word) ? [word.charAt(0), word.charAt(1)] : [word];
}
