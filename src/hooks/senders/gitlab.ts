/**
 * GitLab's registry on a server of one's own: notifications of distribution, configured in `gitlab.rb` or `config.yml` with
 * the headers that the operator chooses. GitLab.com sends none for pushed images.
 */
import type { Sender } from "../contract.ts";
import { isEnvelope, readEnvelope } from "./distribution.ts";

export const gitlab: Sender = {
  name: "gitlab",
  recognises: (headers, body) => (headers.has("x-gitlab-token") || headers.has("x-gitlab-event")) && isEnvelope(body),
  parse: (delivery) => readEnvelope("gitlab", delivery.body),
};
