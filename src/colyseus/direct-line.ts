// What Colyseus asks of a room or a process on another node, told straight to that node over its internal port.
//
// Stock Colyseus publishes such a request on Redis, for whoever listens, and waits. Then a Redis that is away or slow makes
// every join fail or hang, and whoever can publish there can call any method of any room. Here the request goes to the
// node that Postgres names as the room's owner, behind the cluster's key, and Redis has no part in it (RED2).
//
// A request is carried out at most once. Where it certainly never arrived, because nobody was there to take it, it is sent
// to where the room is by now; where that is not certain, the asker is told what Colyseus tells when time is over.

import { timingSafeEqual } from "node:crypto";
import http from "node:http";
import type { IRoomCache } from "@colyseus/core";
import type { Config } from "../config.ts";
import { messageOf } from "../errors.ts";
import type { Incarnation, RoomId } from "../ids.ts";
import { KEY_HEADER } from "../membership/peer-http.ts";
import type { Member, View } from "../membership/view.ts";
import type { Location } from "../placement/locate.ts";
import type { Clock } from "../runtime/clock.ts";
import { parseRequest, type Request } from "./remote-calls.ts";
import { isRoomAddress, type RoomAddress, type RoomWhereabouts } from "./room-whereabouts.ts";

/** How Colyseus begins the channel of a room and of a process. */
const ROOM = "$";
const PROCESS = "p:";
export const CALL_PATH = "/ringside/call";
export const LISTING_PATH = "/ringside/listing";
/** How many requests may be under way from one node; more are told at once that their time is over. */
const CALLS_MAX = 10_000;
const SOCKETS_MAX = 64;
const BODY_BYTES_MAX = 16 * 1024 * 1024;
/** Raised with every change that another node could not read. */
export const CALL_VERSION_HEADER = "x-ringside-call-version";
const VERSION = "1";
/** How long a room is looked for when nobody at its place knows it; it is about to open, or has just moved. */
const SEEK_MS = 1_500;
const SEEK_AGAIN_MS = 25;

/** What Colyseus answers a request with: whether it went well (IpcProtocol of core), and the result or what went wrong. */
export type Reply = readonly [code: 0 | 1, data: unknown];
/** What Colyseus says, and looks for, when an answer did not come in time. */
const TIME_IS_OVER: Reply = [1, "ipc_timeout"];

export interface DirectLineParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly self: Incarnation;
  readonly view: () => View;
  /** Where a room is, as soon as some node has it open; undefined when that cannot be found out. Never rejects. */
  readonly whereIs: (roomId: RoomId) => Promise<Location | undefined>;
}

/** What a node answers the others with. */
export interface LineAnswers {
  /** Carries out a request that is for this node; undefined when nobody here takes it. Never rejects. */
  readonly deliver: (request: Request, signal: AbortSignal) => Promise<Reply | undefined>;
  /** The rows of this node's rooms, or of one of them. */
  readonly ownRows: (roomId?: string) => readonly IRoomCache[];
  /** Says where this node is, and hears where rooms have answered from. */
  readonly whereabouts: RoomWhereabouts;
}

export class DirectLine {
  readonly #parts: DirectLineParts;
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: SOCKETS_MAX });
  #answers: LineAnswers | undefined;
  #calls = 0;

  constructor(parts: DirectLineParts) {
    this.#parts = parts;
  }

  /** Takes the line's own requests from `server`, whose other listeners get the rest. */
  listen(server: http.Server, answers: LineAnswers): void {
    this.#answers = answers;
    const others = server.listeners("request") as http.RequestListener[];
    server.removeAllListeners("request");
    server.on("request", (request, response) => {
      const isOurs = request.url === CALL_PATH || request.url === LISTING_PATH;
      if (isOurs) void this.#answer(request, response, answers);
      else for (const other of others) other.call(server, request, response);
    });
  }

  stop(): void {
    this.#agent.destroy();
  }

  /**
   * Brings a request to whoever is to answer it, and returns the answer. Never rejects.
   *
   * @param signal aborts when the asker waits no longer
   */
  async ask(request: Request, signal: AbortSignal): Promise<Reply> {
    if (this.#calls >= CALLS_MAX) return TIME_IS_OVER;
    this.#calls++;
    try {
      // As it would arrive from elsewhere: a room on this node must not be handed what the asker still holds.
      const told = JSON.parse(JSON.stringify(request)) as Request;
      return told.to.startsWith(PROCESS)
        ? await this.#askProcess(told, signal)
        : await this.#askRoom(told, signal);
    } catch (error) {
      return [1, `the request cannot be told: ${messageOf(error)}`];
    } finally {
      this.#calls--;
    }
  }

  /** The rows of all rooms on other nodes, or of one of them, as far as those answer in time. Never rejects. */
  async rowsOfOthers(roomId?: RoomId): Promise<IRoomCache[]> {
    const asked = this.#others().map((member) => this.#rowsOf(member, roomId).catch(() => []));
    return (await Promise.all(asked)).flat();
  }

  /**
   * The row of a room on another node, from that node itself; undefined when there is no such room.
   *
   * @throws when it cannot be found out
   */
  async rowOf(roomId: RoomId): Promise<IRoomCache | undefined> {
    const where = await this.#parts.whereIs(roomId);
    if (where?.at === "gone") return undefined;
    if (where?.at === "here") return this.#answers?.ownRows(roomId)[0];
    // When Postgres is away as well: whoever has the room says so.
    const [found] =
      where?.at === "peer" ? await this.#rowsOf(where.member, roomId) : await this.rowsOfOthers(roomId);
    if (found === undefined) throw new Error("the room's owner does not answer, or cannot be found out");
    return found;
  }

  async #askProcess(request: Request, signal: AbortSignal): Promise<Reply> {
    const processId = request.to.slice(PROCESS.length);
    const member = this.#parts.view().members.find((other) => other.processId === processId);
    if (member === undefined) return TIME_IS_OVER; // it is gone, with all that it could have answered
    return (await this.#askAt(member, request, signal)) ?? TIME_IS_OVER;
  }

  async #askRoom(request: Request, signal: AbortSignal): Promise<Reply> {
    const { clock, whereIs } = this.#parts;
    const roomId = request.to.slice(ROOM.length) as RoomId;
    const endsMs = clock.monotonicMs() + SEEK_MS;
    do {
      const where = await whereIs(roomId);
      if (where?.at === "gone") return TIME_IS_OVER;
      if (signal.aborted) return TIME_IS_OVER;
      const reply =
        where?.at === "here"
          ? await this.#askHere(request, signal)
          : where?.at === "peer"
            ? await this.#askAt(where.member, request, signal)
            : await this.#askAll(request, signal);
      if (reply !== undefined) return reply;
      await clock.sleep(SEEK_AGAIN_MS);
    } while (clock.monotonicMs() < endsMs && !signal.aborted);
    return TIME_IS_OVER;
  }

  /** For when Postgres cannot say where a room is: only its owner takes the request. */
  async #askAll(request: Request, signal: AbortSignal): Promise<Reply | undefined> {
    const here = await this.#askHere(request, signal);
    if (here !== undefined) return here;
    for (const member of this.#others()) {
      const reply = await this.#askAt(member, request, signal);
      if (reply !== undefined) return reply;
    }
    return undefined;
  }

  /** @returns the answer; undefined when it is certain that nobody there has taken the request */
  async #askAt(member: Member, request: Request, signal: AbortSignal): Promise<Reply | undefined> {
    if (member.incarnation === this.#parts.self) return this.#askHere(request, signal);
    try {
      const { status, body } = await this.#post(member, CALL_PATH, request, signal);
      if (status !== 200) return undefined;
      const { reply, from } = body as { reply?: unknown; from?: unknown };
      if (isRoomAddress(from)) this.#answeredAt(request, from);
      return isReply(reply) ? reply : TIME_IS_OVER;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === "ECONNREFUSED" ? undefined : TIME_IS_OVER;
    }
  }

  async #askHere(request: Request, signal: AbortSignal): Promise<Reply | undefined> {
    const reply = await this.#answers?.deliver(request, signal);
    if (reply !== undefined && this.#answers !== undefined) {
      this.#answeredAt(request, this.#answers.whereabouts.own);
    }
    return reply;
  }

  #answeredAt({ to }: Request, address: RoomAddress): void {
    if (to.startsWith(ROOM)) this.#answers?.whereabouts.answered(to.slice(ROOM.length), address);
  }

  async #rowsOf(member: Member, roomId?: RoomId): Promise<IRoomCache[]> {
    if (member.incarnation === this.#parts.self) return [...(this.#answers?.ownRows(roomId) ?? [])];
    const ending = new AbortController();
    const cancel = this.#parts.clock.after(this.#parts.config.redisMs, () => ending.abort());
    try {
      const { body } = await this.#post(member, LISTING_PATH, { roomId }, ending.signal);
      // From a node of this cluster, which has shown by the key that it is one.
      return Array.isArray(body) ? (body as IRoomCache[]) : [];
    } finally {
      cancel();
    }
  }

  #others(): Member[] {
    return this.#parts.view().members.filter((member) => member.incarnation !== this.#parts.self);
  }

  #post(
    { host, internalPort }: Member,
    path: string,
    body: unknown,
    signal: AbortSignal,
  ): Promise<{ status: number; body: unknown }> {
    return new Promise((resolve, reject) => {
      const bytes = Buffer.from(JSON.stringify(body));
      const request = http.request({
        host,
        port: internalPort,
        path,
        method: "POST",
        agent: this.#agent,
        signal,
        headers: {
          [KEY_HEADER]: this.#parts.config.clusterKey,
          [CALL_VERSION_HEADER]: VERSION,
          "content-type": "application/json",
          "content-length": bytes.length,
        },
      });
      request.on("error", reject);
      request.on("response", (response) => {
        readJson(response).then(
          (answer) => resolve({ status: response.statusCode ?? 0, body: answer }),
          reject,
        );
      });
      request.end(bytes);
    });
  }

  async #answer(
    request: http.IncomingMessage,
    response: http.ServerResponse,
    answers: LineAnswers,
  ): Promise<void> {
    const leaving = new AbortController();
    response.on("close", () => leaving.abort());
    response.on("error", () => {}); // a close follows
    const { status, answer } = await this.#answerTo(request, answers, leaving.signal);
    if (response.destroyed) return;
    const text = toJson(answer);
    // What is left unread ends with the connection.
    const connection = request.complete ? {} : { connection: "close" };
    response.writeHead(status, { "content-type": "application/json", ...connection });
    response.end(text);
  }

  async #answerTo(
    request: http.IncomingMessage,
    answers: LineAnswers,
    signal: AbortSignal,
  ): Promise<{ readonly status: number; readonly answer?: unknown }> {
    if (!mayEnter(request, this.#parts.config.clusterKey) || request.method !== "POST")
      return { status: 404 };
    const version = request.headers[CALL_VERSION_HEADER];
    if (version !== VERSION) {
      return {
        status: 409,
        answer: { error: `this node speaks version ${VERSION}, not ${String(version)}` },
      };
    }
    try {
      const body = await readJson(request);
      if (request.url === LISTING_PATH) {
        const roomId = isObject(body) ? body["roomId"] : null;
        if (roomId === undefined || typeof roomId === "string") {
          return { status: 200, answer: answers.ownRows(roomId) };
        }
      } else {
        const call = parseRequest(body);
        const reply = call && (await answers.deliver(call, signal));
        if (call !== undefined) {
          return reply ? { status: 200, answer: { reply, from: answers.whereabouts.own } } : { status: 404 };
        }
      }
    } catch {
      // Cut short, too large, or no JSON.
    }
    return { status: 400, answer: { error: "this is no request of version 1" } };
  }
}

/** What a room answers may be anything, and what cannot be told must not hold up the asker. */
function toJson(answer: unknown): string {
  if (answer === undefined) return "{}";
  let why = "it is too large";
  try {
    const text = JSON.stringify(answer);
    if (text.length <= BODY_BYTES_MAX) return text;
  } catch (error) {
    why = messageOf(error);
  }
  return JSON.stringify({ reply: [1, `the answer cannot be told: ${why}`] satisfies Reply });
}

function isObject(body: unknown): body is Record<string, unknown> {
  return typeof body === "object" && body !== null;
}

function isReply(reply: unknown): reply is Reply {
  return Array.isArray(reply) && (reply[0] === 0 || reply[0] === 1);
}

function mayEnter(request: http.IncomingMessage, clusterKey: string): boolean {
  const key = Buffer.from(clusterKey);
  const shown = Buffer.from(String(request.headers[KEY_HEADER] ?? ""));
  return shown.length === key.length && timingSafeEqual(shown, key);
}

async function readJson(stream: http.IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) throw new Error("too large");
    chunks.push(chunk);
  }
  return JSON.parse(Buffer.concat(chunks).toString());
}
