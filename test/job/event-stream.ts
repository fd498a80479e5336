/** What a stream of events has told, once it is at its end. */

/** @typeParam Event What whoever asks for the stream is told. */
export async function eventsOf<Event>(stream: ReadableStream<Uint8Array> | null): Promise<Event[]> {
  const text = await new Response(stream).text();
  return text
    .split("\n\n")
    .flatMap((message) => /^data: (.*)$/m.exec(message)?.[1] ?? [])
    .map((data): Event => JSON.parse(data));
}
