// GraphiQL with this node's sign-in. The token and the editor's contents live in this page's memory
// and nowhere else: a query may name a patient, so nothing is put into the browser's storage.
"use strict";

(() => {
  const React = window.React;
  const byId = (id) => document.getElementById(id);
  let token = "";

  const memory = new Map();
  const storage = {
    getItem: (key) => (memory.has(key) ? memory.get(key) : null),
    setItem: (key, value) => memory.set(key, value),
    removeItem: (key) => memory.delete(key),
    clear: () => memory.clear(),
    get length() { return memory.size; },
  };

  async function post(params, accept, signal) {
    const headers = { accept, "content-type": "application/json" };
    if (token) headers.authorization = "Bearer " + token;
    return fetch("/graphql", { method: "POST", headers, body: JSON.stringify(params), signal });
  }

  // graphql-sse, distinct connections mode: one `next` for each event, then `complete`.
  async function* events(params) {
    const abort = new AbortController();
    try {
      const response = await post(params, "text/event-stream", abort.signal);
      if (!(response.headers.get("content-type") || "").startsWith("text/event-stream")) {
        yield await response.json();
        return;
      }
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        rest += value;
        const blocks = rest.split("\n\n");
        rest = blocks.pop();
        for (const block of blocks) {
          if (block.startsWith("event: complete")) return;
          const data = block.split("\n").find((line) => line.startsWith("data: "));
          if (block.startsWith("event: next") && data) yield JSON.parse(data.slice(6));
        }
      }
    } finally {
      abort.abort();
    }
  }

  function isSubscription(params, options) {
    const definitions = options && options.documentAST ? options.documentAST.definitions : [];
    const operations = definitions.filter((one) => one.kind === "OperationDefinition");
    const chosen = operations.length === 1
      ? operations[0]
      : operations.find((one) => one.name && one.name.value === params.operationName);
    return Boolean(chosen) && chosen.operation === "subscription";
  }

  const signInFirst = {
    errors: [{ message: "Sign in first, above.", extensions: { code: "UNAUTHENTICATED" } }],
  };

  async function fetcher(params, options) {
    if (!token) return signInFirst; // the node would say no more, and the console would be red
    if (isSubscription(params, options)) return events(params);
    const response = await post(params, "application/graphql-response+json, application/json;q=0.9");
    return response.json();
  }

  const root = window.ReactDOM.createRoot(byId("graphiql"));
  let shown = 0;

  // A new key on each sign-in mounts the editor anew, which reads the schema as the new user.
  function show(examples, fits) {
    shown += 1;
    root.render(React.createElement(window.GraphiQL, {
      key: String(shown),
      fetcher,
      storage,
      defaultTabs: examples.filter((one) => fits(one.role)).map((one) => ({
        query: "# " + one.title + "\n" + one.query, variables: one.variables,
      })),
      isHeadersEditorEnabled: false,
      shouldPersistHeaders: false,
    }));
  }

  // Which examples open, by whom they are for: null is everybody. A token does not say whose it is.
  const forAnyone = (role) => role === null;
  const allOfThem = () => true;

  function tell(text, refused) {
    byId("who").textContent = text;
    byId("who").classList.toggle("refused", Boolean(refused));
  }

  function signedIn(text) {
    const inside = Boolean(token);
    byId("password-form").hidden = inside;
    byId("token-form").hidden = inside;
    byId("sign-out").hidden = !inside;
    tell(text);
  }

  async function start() {
    const response = await fetch("/graphiql/examples.json");
    const examples = await response.json();

    byId("password-form").addEventListener("submit", async (event) => {
      event.preventDefault();
      const body = JSON.stringify({ user: byId("user").value, password: byId("password").value });
      const answer = await fetch("/sign-in", {
        method: "POST", headers: { "content-type": "application/json" }, body,
      });
      byId("password").value = "";
      const said = await answer.json();
      if (!answer.ok) { tell(said.message, true); return; }
      token = said.token;
      const until = new Date(said.expires).toLocaleTimeString();
      signedIn("Signed in as " + said.user + " (" + said.role + ") until " + until + ".");
      show(examples, (role) => role === null || role === said.role);
    });

    byId("token-form").addEventListener("submit", (event) => {
      event.preventDefault();
      token = byId("token").value.trim();
      byId("token").value = "";
      signedIn("Using a bearer token.");
      show(examples, allOfThem);
    });

    byId("sign-out").addEventListener("click", async () => {
      await fetch("/sign-out", { method: "POST", headers: { authorization: "Bearer " + token } });
      token = "";
      memory.clear();
      signedIn("Signed out.");
      show(examples, forAnyone);
    });

    show(examples, forAnyone);
  }

  start();
})();
