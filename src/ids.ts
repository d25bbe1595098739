// The ids, each its own type, so that a room's id cannot stand where a node's belongs.
// They are plain strings and numbers at run time; `as` casts happen only at the edges that parse them.

declare const brand: unique symbol;
type Branded<Base, Name extends string> = Base & { readonly [brand]: Name };

/** A node's stable name, `[A-Za-z0-9_-]{1,64}`. Survives restarts. */
export type NodeId = Branded<string, "NodeId">;
/** A uuid, new at each start of a process. Never returns once it was marked down. */
export type Incarnation = Branded<string, "Incarnation">;
/** A room's id, `[A-Za-z0-9_-]{1,64}`. The same through every activation. */
export type RoomId = Branded<string, "RoomId">;
/** A player's seat in one room: Colyseus's session id. */
export type SessionId = Branded<string, "SessionId">;
/**
 * The number of a room's activation. Only Postgres hands out a new one: 1, 2, 3, and after it was replaced by a standby
 * 1,000,000,001 and so on (next_epoch, migrations/0003). An integer below 2^53, too large for 32 bits.
 */
export type Epoch = Branded<number, "Epoch">;

const NAME = /^[A-Za-z0-9_-]{1,64}$/;

/** Whether `text` may be a node's or a room's id. Room ids appear in URLs, which Colyseus matches by this set. */
export function isName(text: unknown): text is string {
  return typeof text === "string" && NAME.test(text);
}
