// One connection as the driver has it: statements are sent without waiting for the answers to those before, each answer has
// a deadline, and a connection that breaks fails all that wait on it, whatever Postgres made of what it had been sent.

import type { QueryResult } from "pg";
import type { Process, World } from "../world.ts";
import type { Wire } from "../wire.ts";
import type { Answer, Session } from "./session.ts";
import type { SimPostgres } from "./sim-postgres.ts";

export interface Query {
  readonly name?: string;
  readonly text: string;
  readonly values?: readonly unknown[];
}

interface Pending {
  readonly name: string;
  readonly settle: (answer: Answer) => void;
  readonly cancel: () => void;
}

export interface ConnectionParts {
  readonly world: World;
  readonly wire: Wire;
  readonly server: SimPostgres;
  readonly client: Process;
  readonly session: Session;
  readonly queryMs: number;
}

export class Connection {
  readonly #parts: ConnectionParts;
  readonly #pending: Pending[] = [];
  /** On their way, in order: whichever arrival comes first brings the first of them. */
  readonly #underWay: { readonly arrive: () => void; readonly notBeforeMs: number }[] = [];
  readonly #answers: (() => void)[] = [];
  isBroken = false;

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
  }

  query(config: Query | string): Promise<QueryResult> {
    const { name, text, values } =
      typeof config === "string" ? { ...none, text: config } : { ...none, ...config };
    // Authors' statements have names of the connection's own.
    const known = name === undefined || name.startsWith("commit ") ? text : name;
    const { client, queryMs, server, session, world } = this.#parts;
    if (this.isBroken) return Promise.reject(new Error("Client has encountered a connection error"));
    return new Promise((resolve, reject) => {
      const cancel = world.after(client, queryMs, "timer", () => {
        this.#drop(pending);
        reject(new Error("Query read timeout"));
      });
      const settle = (answer: Answer): void => {
        cancel();
        if (answer.kind === "error") reject(answer.error);
        else resolve(toResult(answer));
      };
      const pending: Pending = { name: known, settle, cancel };
      this.#pending.push(pending);
      server.onPhase(client, known, "sent");
      if (client.state === "dead") return;
      const answer = (given: Answer): void => this.#sendBack(pending, given);
      this.#send(
        () => session.receive({ name: known, values, answer }),
        this.#parts.wire.heldMs(client.name, known),
      );
    });
  }

  /** The client lets go of it; what was sent before may still be carried out. */
  close(): void {
    if (this.isBroken) return;
    this.isBroken = true;
    this.#send(() => this.#parts.session.receive("close"));
  }

  /** It breaks on both sides. What is under way arrives before that, whenever it does, or never. */
  reset(): void {
    const { client, server, session, world } = this.#parts;
    if (this.isBroken) return;
    this.isBroken = true;
    this.#answers.length = 0;
    const underWay = world.chance.is(0.5) ? this.#underWay.splice(0) : [];
    this.#underWay.length = 0;
    const lastMs = Math.max(world.nowMs, ...underWay.map(({ notBeforeMs }) => notBeforeMs));
    world.after(server.process, lastMs - world.nowMs, "message", () => {
      for (const { arrive } of underWay) arrive();
      session.receive("close");
    });
    const error = new Error("Connection terminated unexpectedly");
    world.after(client, world.chance.between(0, 2), "message", () => {
      for (const pending of this.#pending.splice(0)) pending.settle({ kind: "error", error });
    });
  }

  /** @param heldMs how much longer than usual it takes; nothing overtakes it */
  #send(arrive: () => void, heldMs = 0): void {
    const { client, server, wire, world } = this.#parts;
    const delayMs = wire.delayMs(client.name, "postgres");
    this.#underWay.push({ arrive, notBeforeMs: world.nowMs + heldMs });
    if (delayMs === undefined) return; // and so are those behind it, as long as the connection lives
    const next = (): void => {
      const waitMs = (this.#underWay[0]?.notBeforeMs ?? 0) - world.nowMs;
      if (waitMs > 0) world.after(server.process, waitMs, "message", next);
      else this.#underWay.shift()?.arrive();
    };
    world.after(server.process, delayMs, "message", next);
  }

  #sendBack(pending: Pending, answer: Answer): void {
    const { client, server, wire, world } = this.#parts;
    const delayMs = wire.delayMs("postgres", client.name);
    this.#answers.push(() => {
      if (!this.#drop(pending)) return;
      pending.settle(answer);
      server.onPhase(client, pending.name, "answered");
    });
    if (delayMs === undefined) return;
    world.after(client, delayMs, "message", () => this.#answers.shift()?.());
  }

  /** @returns whether it was still waited for */
  #drop(pending: Pending): boolean {
    const index = this.#pending.indexOf(pending);
    if (index < 0) return false;
    this.#pending.splice(index, 1);
    return true;
  }
}

const none = { name: undefined, values: [] as readonly unknown[] };

function toResult({ command, rows }: Answer & { kind: "rows" }): QueryResult {
  // The fields that the product reads.
  return { command, rows, rowCount: rows.length } as unknown as QueryResult;
}
