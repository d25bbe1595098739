// One SQL statement of a room's author, as it was when they gave it.
//
// Its values are turned into what goes over the wire at once. The room plays on, so an array or object of its state would
// be another one by the time the statement leaves; and a value that cannot be sent is its author's error alone, at the
// line that gave it, rather than that of everybody who shares the transaction.
//
// Statements that begin or end transactions, change the connection for whoever has it next, or are more than a question and an
// answer, are refused. What may do so among other things is marked: it is kept away from the commits of others.

import utils from "pg/lib/utils.js";

import { messageOf, RingsideError } from "../errors.ts";

export interface Statement {
  readonly text: string;
  /** As pg sends them. */
  readonly values: readonly (string | Buffer | null)[];
  /** How many rows it must touch; any number when undefined. */
  readonly rows: number | undefined;
  /** Whether it may change its transaction or its connection for others, as far as its text tells. */
  readonly leavesTraces: boolean;
}

const NOT_YOURS =
  /^(?:abort|begin|commit|copy|deallocate|discard|end|listen|load|prepare|release|reset|rollback|savepoint|set|start|unlisten)$/u;
/** Blocks of code, in which anything may be. */
const CODE = /^(?:call|do)$/u;
/** Settings, locks of the session, temporary tables. */
const TRACES =
  /\b(?:set_config|pg_(?:try_)?advisory_(?:un)?lock(?:_shared|_all)?|pg_temp|(?:create|global|into|local)\s+temp(?:orary)?|with\s+hold)\b/iu;
/** What may stand before a statement's first word, beside comments of the other kind. To be read in one way only, and so quickly. */
const BLANKS = /(?:[\s;(]|--[^\n\r]*(?:[\n\r]|$))+/uy;
const COMMENT_EDGE = /\/\*|\*\//gu;
const WORD = /\w+/uy;

/** @throws RingsideError COMMIT_REFUSED when it cannot be part of a commit */
export function toStatement(text: string, values: readonly unknown[], rows: number | undefined): Statement {
  // Authors may write plain JavaScript.
  if (typeof text !== "string") throw refusal("a statement is a string", "");
  if (!Array.isArray(values)) throw refusal("a statement's values are an array", text);
  const word = firstWord(text);
  if (NOT_YOURS.test(word)) throw refusal(`${word} is not for a commit's callback`, text);
  try {
    return { text, values: values.map(toWire), rows, leavesTraces: CODE.test(word) || TRACES.test(text) };
  } catch (error) {
    throw refusal(`a value cannot be sent: ${messageOf(error)}`, text, error);
  }
}

function firstWord(text: string): string {
  let at = 0;
  for (;;) {
    BLANKS.lastIndex = at;
    if (BLANKS.test(text)) at = BLANKS.lastIndex;
    if (!text.startsWith("/*", at)) break;
    at = endOfComment(text, at);
  }
  WORD.lastIndex = at;
  return (WORD.exec(text)?.[0] ?? "").toLowerCase();
}

/** To Postgres, comments may hold comments. */
function endOfComment(text: string, beginsAt: number): number {
  COMMENT_EDGE.lastIndex = beginsAt;
  let depth = 0;
  for (let edge = COMMENT_EDGE.exec(text); edge !== null; edge = COMMENT_EDGE.exec(text)) {
    depth += edge[0] === "/*" ? 1 : -1;
    if (depth === 0) return COMMENT_EDGE.lastIndex;
  }
  return text.length;
}

function toWire(value: unknown): string | Buffer | null {
  const wire = utils.prepareValue(value);
  return Buffer.isBuffer(wire) ? Buffer.from(wire) : wire; // a copy: what was given may be written to again
}

function refusal(why: string, text: string, cause?: unknown): RingsideError {
  return new RingsideError("COMMIT_REFUSED", { why, statement: text.slice(0, 80) }, cause);
}
