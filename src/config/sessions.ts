// Settings of sessions: who players are. The rows are read and checked by config.ts.

import type { NumberRow, TextRow } from "./rows.ts";

export const SESSION_TEXTS = {
  sessions: {
    env: ["SESSIONS"],
    fallback: "",
    why: "who players are: off (nobody asks), optional (tokens are checked, guests without one may play), required; off if the game does not say",
  },
  guests: { env: ["GUESTS"], fallback: "on", why: "on or off: whether players may sign in as guests" },
  tokenIssuer: {
    env: ["TOKEN_ISSUER"],
    fallback: "ringside",
    why: "the issuer, and the audience, of access tokens",
  },
  signingKeys: {
    env: ["SIGNING_KEYS"],
    fallback: "",
    secret: true,
    why: "the keys of access tokens: a JSON Web Key Set of Ed25519 keys, or the file that holds one (read again when it changes). The first private one signs. Not set: made at the first start and kept in Postgres",
  },
  backendIssuer: {
    env: ["BACKEND_ISSUER"],
    fallback: "",
    why: "the issuer of the assertions by which the game's own backend signs players in",
  },
  backendKeys: {
    env: ["BACKEND_KEYS"],
    fallback: "",
    why: "its public keys: a JSON Web Key Set, or the file that holds one",
  },
  providerIssuer: {
    env: ["PROVIDER_ISSUER"],
    fallback: "",
    why: "the issuer of the identity provider whose tokens sign players in",
  },
  providerAudience: {
    env: ["PROVIDER_AUDIENCE"],
    fallback: "",
    why: "the audience that those tokens must name",
  },
  providerJwksUrl: {
    env: ["PROVIDER_JWKS_URL"],
    fallback: "",
    why: "where that provider publishes its keys",
  },
} as const satisfies Record<string, TextRow>;

export const SESSION_NUMBERS = {
  accessTokenMs: {
    env: "ACCESS_TOKEN_MS",
    fallback: 900_000,
    min: 5_000,
    max: 86_400_000,
    why: "how long an access token is good for; its client then refreshes it",
  },
  refreshTokenMs: {
    env: "REFRESH_TOKEN_MS",
    fallback: 2_592_000_000,
    min: 60_000,
    max: 31_536_000_000,
    why: "how long a login lasts without being refreshed",
  },
  refreshGraceMs: {
    env: "REFRESH_GRACE_MS",
    fallback: 10_000,
    min: 0,
    max: 600_000,
    why: "how long after it was answered a refresh token may be sent once more, because the answer was lost on the way; it is answered the same then. Later it counts as stolen, and ends the login",
  },
  signInsPerAddress: {
    env: "SIGN_INS_PER_ADDRESS",
    fallback: 300,
    min: 0,
    max: 1_000_000,
    why: "how often one address may sign in, or refresh a login, in the cluster in 10 s: whatever is posted below /auth/",
  },
} as const satisfies Record<string, NumberRow>;
