// Refresh tokens: what they are made of, and how one leads to the next. Pure but for the secret.
//
// A token names its login and its number in it, and carries a MAC, so that one that was never handed out is refused without
// a question to Postgres; and so that one that was handed out and used up is known for what it is, however old (AUTH2).
// The next one follows from the one before and a salt that Postgres keeps as long as the answer may have been lost: asked
// twice, by whichever nodes, the same token is answered the same. Neither the MAC's secret nor the salt opens a login.

import { createHash, createHmac, hkdfSync, randomBytes, timingSafeEqual } from "node:crypto";

export interface RefreshToken {
  readonly loginId: string;
  /** 0, and one more with each exchange. */
  readonly generation: number;
  readonly secret: Buffer;
}

const FORMAT = 1;
const SECRET_BYTES = 16;
const MAC_BYTES = 16;
const BODY_BYTES = 1 + 16 + 4 + SECRET_BYTES;
const TEXT = /^[A-Za-z0-9_-]{71}$/;

export const SALT_BYTES = 16;

export class RefreshTokens {
  readonly #macKey: Buffer;
  readonly #nextKey: Buffer;

  /** @param secret the cluster's, of at least 32 bytes; the same on all nodes */
  constructor(secret: Buffer) {
    const derive = (label: string): Buffer => Buffer.from(hkdfSync("sha256", secret, "", label, 32));
    this.#macKey = derive("ringside refresh token mac");
    this.#nextKey = derive("ringside refresh token next");
  }

  first(loginId: string): RefreshToken {
    return { loginId, generation: 0, secret: randomBytes(SECRET_BYTES) };
  }

  next({ loginId, generation, secret }: RefreshToken, salt: Buffer): RefreshToken {
    const made = createHmac("sha256", this.#nextKey)
      .update(bodyOf({ loginId, generation: generation + 1, secret }))
      .update(salt)
      .digest();
    return { loginId, generation: generation + 1, secret: made.subarray(0, SECRET_BYTES) };
  }

  write(token: RefreshToken): string {
    const body = bodyOf(token);
    return Buffer.concat([body, this.#mac(body)]).toString("base64url");
  }

  /** @returns undefined for what no node of this cluster has written */
  read(text: string | undefined): RefreshToken | undefined {
    if (text === undefined || !TEXT.test(text)) return undefined;
    const bytes = Buffer.from(text, "base64url");
    const body = bytes.subarray(0, BODY_BYTES);
    if (body[0] !== FORMAT || !timingSafeEqual(this.#mac(body), bytes.subarray(BODY_BYTES))) return undefined;
    const hex = body.toString("hex", 1, 17);
    return {
      loginId: hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5"),
      generation: body.readUInt32BE(17),
      secret: body.subarray(21),
    };
  }

  #mac(body: Buffer): Buffer {
    return createHmac("sha256", this.#macKey).update(body).digest().subarray(0, MAC_BYTES);
  }
}

/** What is kept of a token. */
export function hashOf({ secret }: RefreshToken): Buffer {
  return createHash("sha256").update(secret).digest();
}

function bodyOf({ loginId, generation, secret }: RefreshToken): Buffer {
  const body = Buffer.alloc(BODY_BYTES);
  body[0] = FORMAT;
  body.write(loginId.replaceAll("-", ""), 1, "hex");
  body.writeUInt32BE(generation, 17);
  secret.copy(body, 21);
  return body;
}
