// What opens a seat: the newest reconnection token, and those that it replaced as long as the player may not have heard of
// the new one. Tokens change at each use, so that one that was seen by others is worth nothing after its owner's next return.
// Only hashes are kept, in memory and in Postgres alike: what compares equal here gives no token away, however long it takes.

export interface SeatToken {
  /** SHA-256 of the newest token, in hex. */
  readonly hash: string;
  /** Of the token that it replaced, until the player has heard of the new one. */
  readonly previousHash: string | undefined;
  /**
   * Of others that were sent to the player since they were last heard of: they may have any of these. Known only to this
   * activation; the oldest are forgotten.
   */
  readonly sentHashes?: readonly string[];
  /** Whether the player is known to have heard of the newest one. */
  readonly isHeard: boolean;
  /** Rises with each change: what Postgres is told late must not undo what it was told since. */
  readonly number: number;
  /** Of the auth token with which the player joined, if their client sent one. */
  readonly loginHash: string | undefined;
}

/** The token of a seat that was just taken; nobody has heard of it yet. */
export function firstToken(hash: string, loginHash: string | undefined): SeatToken {
  return { hash, previousHash: undefined, isHeard: false, number: 0, loginHash };
}

export function opens({ hash, previousHash, sentHashes }: SeatToken, shown: string): boolean {
  return hash === shown || previousHash === shown || sentHashes?.includes(shown) === true;
}

const SENT_MAX = 8;

/**
 * The player came with one of them, and gets a new one. What they came with stays good until they have heard: this node may
 * die, or its answer be lost, at any moment in between. And so do those that they were sent and may have: two connections of
 * one page may come in the wrong order, and the one that lives is the one that was told first.
 */
export function turned(token: SeatToken, presentedHash: string, hash: string): SeatToken {
  const sent = token.isHeard ? [] : [...(token.sentHashes ?? []), token.hash];
  return {
    ...token,
    hash,
    previousHash: presentedHash,
    sentHashes: sent.filter((each) => each !== presentedHash).slice(-SENT_MAX),
    isHeard: false,
    number: token.number + 1,
  };
}

/** The new one could not be made durable: the player keeps what they came with. */
export function notTurned(token: SeatToken, presentedHash: string): SeatToken {
  return { ...token, hash: presentedHash, previousHash: undefined, sentHashes: [] };
}

/** The player has heard of the newest one. */
export function heard(token: SeatToken): SeatToken {
  return { ...token, previousHash: undefined, sentHashes: [], isHeard: true, number: token.number + 1 };
}
