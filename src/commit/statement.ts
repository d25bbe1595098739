// One SQL statement of a room's author, as it was when they gave it.
//
// Its values are turned into what goes over the wire at once. The room plays on, so an array or object of its state would
// be another one by the time the statement leaves; and a value that cannot be sent is its author's error alone, at the
// line that gave it, rather than that of everybody who shares the transaction.
//
// Statements that begin or end transactions, or change the connection for whoever has it next, are refused.

import utils from "pg/lib/utils.js";

import { messageOf, RingsideError } from "../errors.ts";

export interface Statement {
  readonly text: string;
  /** As pg sends them. */
  readonly values: readonly (string | Buffer | null)[];
  /** How many rows it must touch; any number when undefined. */
  readonly rows: number | undefined;
}

/** What may stand before a statement's first word: blanks and comments. */
const BEFORE = String.raw`(?:[\s;(]|--[^\n]*|/\*[\s\S]*?\*/)*`;
const WORDS =
  "abort|begin|commit|deallocate|discard|end|listen|prepare|release|reset|rollback|savepoint|set|start|unlisten";
const NOT_YOURS = new RegExp(`^${BEFORE}(${WORDS})\\b`, "iu");

/** @throws RingsideError COMMIT_REFUSED when it cannot be part of a commit */
export function toStatement(text: string, values: readonly unknown[], rows: number | undefined): Statement {
  // Authors may write plain JavaScript.
  if (typeof text !== "string") throw refusal("a statement is a string", "");
  if (!Array.isArray(values)) throw refusal("a statement's values are an array", text);
  const [, word] = NOT_YOURS.exec(text) ?? [];
  if (word !== undefined) throw refusal(`${word} is not for a commit's callback`, text);
  try {
    return { text, values: values.map(toWire), rows };
  } catch (error) {
    throw refusal(`a value cannot be sent: ${messageOf(error)}`, text, error);
  }
}

function toWire(value: unknown): string | Buffer | null {
  const wire = utils.prepareValue(value);
  return Buffer.isBuffer(wire) ? Buffer.from(wire) : wire; // a copy: what was given may be written to again
}

function refusal(why: string, text: string, cause?: unknown): RingsideError {
  return new RingsideError("COMMIT_REFUSED", { why, statement: text.slice(0, 80) }, cause);
}
