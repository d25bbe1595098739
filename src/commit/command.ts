// Commands: requests of players that are carried out once, however often they are sent.
//
// A request carries a key of the player's choice. The first time, the handler runs inside a commit, and its answer is saved
// with what it did. Asked again with the same key, by the same player and in the same room, the answer is given again: also
// after the node that gave it, or was about to, has died.

import type { Client, Room } from "@colyseus/core";

import { copyAsSaved } from "../checkpoint/lossless.ts";
import { ERRORS, RingsideError } from "../errors.ts";
import { answerKey, answersOf } from "./answers.ts";
import { commit } from "./commit.ts";
import { isPromise } from "./promise.ts";
import type { CommitTx } from "./transaction.ts";

/** The longest key, in characters. */
const KEY_MAX = 64;

export interface CommandOptions {
  /**
   * Whose key it is: players cannot see or spoil each other's answers. By default the seat's (`sessionId`). Where a player
   * may come back in another seat, use what identifies them in your game: `(client) => client.auth.userId`
   */
  readonly by?: (client: Client) => string;
}

/**
 * A message handler, for a room's `messages`, that is carried out once for each key.
 *
 * The player sends `room.request("buy", { key, … })` with a fresh random `key` for each purchase, and the same one when asking
 * again. What the handler returns is the answer, and must be plain data; what it throws undoes the command, and is
 * not remembered, so that asking again tries again.
 *
 * @param parse makes of the payload what the handler takes, or throws: the player is told the error's message
 * @param handler changes the room and adds statements, as the callback of `commit` does
 *
 * @example
 * override messages = {
 *   buy: command(this, parseOrder, (client, order, tx) => this.buy(client, order, tx)),
 * };
 */
export function command<Payload, Reply>(
  room: Pick<Room, "roomId" | "clock">,
  parse: (payload: unknown) => Payload,
  handler: (client: Client, payload: Payload, tx: CommitTx) => Reply | Promise<Reply>,
  { by = (client) => client.sessionId }: CommandOptions = {},
): (client: Client, message: unknown) => Promise<Reply> {
  // A whole Room as the type above would be one whose `messages` have a type already: the compiler's circle, not ours.
  const whole = room as Room;
  return async (client, message) => {
    const key = answerKey(whose(by(client)), keyOf(message));
    const payload = parse(message);
    const answers = answersOf(whole);
    // A fresh key for each command: the answer under it is this handler's.
    const answered = answers.get(key);
    if (answered !== undefined) return answered.reply as Reply;
    const underWay = answers.underWay.get(key);
    if (underWay !== undefined) return underWay as Promise<Reply>;

    const carriedOut = commit(whole, (tx): Reply | Promise<Reply> => {
      // One whose outcome was in doubt may have turned out well while this one waited for its turn.
      const meanwhile = answers.get(key);
      if (meanwhile !== undefined) return meanwhile.reply as Reply;
      const remember = (given: Reply): Reply => {
        // A copy: what the handler gave may be part of the room, and be something else when it is asked for again.
        const reply = copyAsSaved(given, "a command's answer") as Reply;
        // These first: they throw in a handler that ends after its time is up, of which nothing may be remembered.
        tx.undo(() => answers.forget(key));
        tx.after(() => answers.confirm(key));
        answers.propose({ key, atMs: room.clock.elapsedTime, reply });
        return reply;
      };
      const reply = handler(client, payload, tx);
      return isPromise(reply) ? Promise.resolve(reply).then(remember) : remember(reply);
    }).catch((error: unknown) => {
      throw forPlayer(error);
    });
    answers.underWay.set(key, carriedOut);
    try {
      return await carriedOut;
    } finally {
      answers.underWay.delete(key);
    }
  };
}

/** Those without a name would share one. */
function whose(name: string): string {
  if (typeof name === "string" && name !== "") return name;
  throw new CommandError("NOT_ALLOWED", "this command is for players that are known by name");
}

function keyOf(message: unknown): string {
  const key = (message as { key?: unknown } | null | undefined)?.key;
  if (typeof key === "string" && key !== "" && key.length <= KEY_MAX) return key;
  throw new CommandError(
    "BAD_REQUEST",
    `a command needs a key of 1 to ${KEY_MAX} characters: a fresh random one for each, the same when you ask again`,
  );
}

/** What a player is told: Colyseus sends `name`, `message` and `code` of what a handler throws. */
class CommandError extends Error {
  override readonly name = "CommandError";
  readonly code: string;

  constructor(code: string, text: string, cause?: unknown) {
    super(text, { cause });
    this.code = code;
  }
}

/** Facts are for operators: what Postgres said of a table is nothing for a player. */
function forPlayer(error: unknown): unknown {
  return error instanceof RingsideError
    ? new CommandError(error.code, ERRORS[error.code].text, error)
    : error;
}
