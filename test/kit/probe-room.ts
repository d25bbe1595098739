// Rooms for tests, as any author would write them: ordinary Colyseus rooms that know nothing of where they run. They
// remember, in their state, how often each hook ran, so that a test sees what a restore did.

import { Room, type AuthContext, type Client, type MessageContext } from "@colyseus/core";
import { schema, t, type SchemaType } from "@colyseus/schema";

/** How often each hook has run for one session. Kept when the player has gone. */
export const Calls = schema(
  {
    joins: t.uint8().default(0),
    reconnects: t.uint8().default(0),
    leaves: t.uint8().default(0),
  },
  "Calls",
);
type Calls = SchemaType<typeof Calls>;

export const Medal = schema({ name: t.string().default(""), worth: t.float64().default(0) }, "Medal");

export const Prober = schema(
  {
    score: t.uint32().default(0),
    joinedAs: t.string().default(""),
    medals: t.array(Medal),
    best: t.ref(Medal),
  },
  "Prober",
);

export const ProbeState = schema(
  {
    tick: t.uint32().default(0),
    creates: t.uint8().default(0),
    players: t.map(Prober),
    calls: t.map(Calls),
    trail: t.array("string"),
    tags: t.set("string"),
  },
  "ProbeState",
);
export type ProbeState = SchemaType<typeof ProbeState>;

/** What the room says of itself beyond its state. */
export interface Facts {
  readonly pid: number;
  readonly roomName: string;
  readonly label: unknown;
  readonly metadata: unknown;
  readonly locked: boolean;
  readonly private: boolean;
  readonly maxClients: number;
  readonly elapsedMs: number;
  readonly secrets: Readonly<Record<string, number>>;
  readonly auth: unknown;
  readonly userData: unknown;
}

interface ProbeOptions {
  readonly name?: string;
  readonly label?: string;
  readonly maxClients?: number;
  readonly metadata?: unknown;
  readonly isPrivate?: boolean;
  /** For how long onDrop keeps a seat; 60 if not given. */
  readonly holdSeconds?: number;
}

/** Says and does nothing by itself: its state changes when somebody asks for it. */
export class QuietRoom extends Room<{ state: ProbeState }> {
  override state = new ProbeState();
  #label: unknown;
  #holdSeconds = 60;
  /** Known to nobody outside; what the hooks for saving are there for. */
  #secrets = new Map<string, number>();

  override messages = {
    add: (client: Client, message: unknown): number => {
      const player = this.state.players.get(client.sessionId);
      if (player === undefined) throw new Error("who are you?");
      player.score += Number(message);
      return player.score;
    },
    medal: (client: Client, message: unknown): number => {
      const player = this.state.players.get(client.sessionId);
      const medal = new Medal({ name: String(message), worth: player?.medals.length ?? 0 });
      player?.medals.push(medal);
      if (player !== undefined) player.best = medal; // shared: the same instance in two places
      return player?.medals.length ?? 0;
    },
    tag: (_client: Client, message: unknown): number => {
      this.state.tags.add(String(message));
      return this.state.tags.size;
    },
    secret: (client: Client, message: unknown): void =>
      void this.#secrets.set(client.sessionId, Number(message)),
    sum: (): number => [...this.state.players.values()].reduce((sum, player) => sum + player.score, 0),
    lock: (): Promise<void> => this.lock(),
    /** The state as it is, after everybody was sent what they lack of it. */
    state: (): unknown => {
      this.broadcastPatch();
      return this.state.toJSON();
    },
    facts: (client: Client): Facts => ({
      pid: process.pid,
      roomName: this.roomName,
      label: this.#label,
      metadata: this.metadata,
      locked: this.locked,
      private: (this as unknown as { _listing: { private: boolean } })._listing.private,
      maxClients: this.maxClients,
      elapsedMs: this.clock.elapsedTime,
      secrets: Object.fromEntries(this.#secrets),
      auth: client.auth as unknown,
      userData: client.userData as unknown,
    }),
  };

  static override onAuth(_token: string, options: unknown, _context: AuthContext): Promise<unknown> {
    return Promise.resolve({ user: (options as ProbeOptions | undefined)?.name ?? "nobody" });
  }

  override onCreate(options: ProbeOptions): void | Promise<void> {
    this.#label = options.label;
    this.#holdSeconds = options.holdSeconds ?? 60;
    this.state.creates += 1;
    if (options.maxClients !== undefined) this.maxClients = options.maxClients;
    if (options.metadata !== undefined) this.metadata = options.metadata as never;
    if (options.isPrivate === true) return this.setPrivate(true);
  }

  override onJoin(
    client: Client,
    options: ProbeOptions | undefined,
    auth: { user?: string } | undefined,
  ): void {
    client.userData = { joinedAt: this.state.tick, user: auth?.user };
    const name = options?.name ?? "";
    this.state.players.set(
      client.sessionId,
      new Prober({ joinedAs: name, best: new Medal({ name: "none" }) }),
    );
    this.#callsOf(client).joins += 1;
    this.state.trail.push(`join ${name}`);
  }

  override onDrop(client: Client): void {
    this.allowReconnection(client, this.#holdSeconds).catch(() => undefined); // onLeave follows, and does what there is to do
  }

  override onReconnect(client: Client): void {
    this.#callsOf(client).reconnects += 1;
  }

  override onLeave(client: Client): void {
    this.#callsOf(client).leaves += 1;
    this.state.trail.push(`leave ${this.state.players.get(client.sessionId)?.joinedAs}`);
    this.state.players.delete(client.sessionId);
    this.#secrets.delete(client.sessionId);
  }

  override onCacheRoom(): unknown {
    return [...this.#secrets];
  }

  override onRestoreRoom(saved?: unknown): void {
    this.#secrets = new Map(saved as [string, number][]);
  }

  #callsOf(client: Client): Calls {
    const calls = this.state.calls.get(client.sessionId) ?? new Calls();
    this.state.calls.set(client.sessionId, calls);
    return calls;
  }
}

/** The same, with a counter that never stands still. */
export class ProbeRoom extends QuietRoom {
  override onCreate(options: ProbeOptions): void | Promise<void> {
    this.setTimestep(() => void (this.state.tick += 1), 50);
    return super.onCreate(options);
  }
}

export type Trap =
  "tick" | "message" | "timer" | "onLeave" | "onDrop" | "onBeforePatch" | "onCacheRoom" | "rejection";

/** Throws wherever it is told to, again and again until told otherwise. */
export class ThrowingRoom extends QuietRoom {
  readonly #traps = new Set<Trap>();

  constructor() {
    super();
    Object.assign(this.messages, {
      trap: (_client: Client, message: unknown): void => {
        this.#traps.clear();
        this.#traps.add(message as Trap);
        if (message === "timer") this.clock.setTimeout(() => this.#spring("timer"), 10);
        if (message === "rejection") void Promise.reject(new Error("thrown by rejection")); // what an author forgets
      },
      calm: (): void => this.#traps.clear(),
      throw: (_client: Client, _message: unknown, _context: MessageContext): void => this.#spring("message"),
    });
  }

  override onCreate(options: ProbeOptions): void | Promise<void> {
    this.setTimestep(() => {
      this.state.tick += 1;
      this.#spring("tick");
    }, 50);
    return super.onCreate(options);
  }

  override onBeforePatch(): void {
    this.#spring("onBeforePatch");
  }

  override onDrop(client: Client): void {
    super.onDrop(client);
    this.#spring("onDrop");
  }

  override onLeave(client: Client): void {
    super.onLeave(client);
    this.#spring("onLeave");
  }

  override onCacheRoom(): unknown {
    this.#spring("onCacheRoom");
    return super.onCacheRoom();
  }

  #spring(trap: Trap): void {
    if (this.#traps.has(trap)) throw new Error(`thrown by ${trap}`);
  }
}
