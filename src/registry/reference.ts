/**
 * Names of things in registries: `host/repository:tag@digest` (grammar: OCI distribution-spec, "Pulling manifests";
 * short Docker Hub names as docker reads them).
 */

export interface Reference {
  /** Registry host with port if any, canonical: Docker Hub is `docker.io`. */
  host: string;
  repository: string;
  tag?: string;
  digest?: string;
}
