/** Credentials in docker's own config.json format. */

/** How to prove who we are to one registry. */
export type Credential =
  | { kind: "basic"; username: string; password: string }
  /** docker's `identitytoken`: an OAuth2 refresh token. */
  | { kind: "identity"; token: string }
  /** docker's `registrytoken`: a ready bearer token. */
  | { kind: "bearer"; token: string };

/** Credentials for a repository of a host; `repository` null: for the host as such. Null: none are known. */
export type CredentialLookup = (
  host: string,
  repository: string | null,
) => Credential | null | Promise<Credential | null>;

/**
 * Reads docker's config.json (also containers' auth.json) from its text.
 * @throws CopyError `configuration` that names the field, never its content.
 */
export function parseDockerConfig(_text: string): CredentialLookup {
  return () => null;
}
