// How smooth the list stays: 10,000 conversations, 200 events a second, for a minute, while somebody scrolls. The page is
// the real one; conversations and events come from here, so that the server is not what is measured.
//
//   node tests/browser/smooth.mjs [--seconds 60] [--conversations 10000] [--events 200] [--slower 1]
//
// `--slower 4` has the browser work four times as slowly, as on a weak machine.

import { parseArgs } from "node:util";

import { LIMIT_MS, context, launch, sandbox } from "./harness.mjs";

const { values } = parseArgs({ options: {
  seconds: { type: "string", default: "60" }, conversations: { type: "string", default: "10000" }, events: { type: "string", default: "200" },
  slower: { type: "string", default: "1" },
} });
const [SECONDS, COUNT, RATE, SLOWER] = [values.seconds, values.conversations, values.events, values.slower].map(Number);
const LONG_MS = 50;

const where = await sandbox();
const browser = await launch();
const hex = (at) => at.toString(16).padStart(32, "0");
const began = Date.now();

function message(at, words) {
  const now = Date.now();
  return { id: `msg_${hex(at)}${hex(now)}`.slice(0, 36), conversation: `cnv_${hex(at)}`, author: { by: "contact" }, content: { type: "text", body: words }, sent_at: now, recorded_at: now };
}

function conversation(at) {
  return {
    id: `cnv_${hex(at)}`, channel: `chn_${hex(at % 3)}`, kind: ["whatsapp", "messenger", "instagram"][at % 3], epoch: 1, opted_out: false,
    contact: { id: `con_${hex(at)}`, profile_name: `Contact ${at}`, wa_id: `1555${at}`, merged: [], attributes: {}, standing: { mark: null, confidential: false, objected: false, corrected: [] } },
    control: at % 50 ? { holder: "assistant" } : { holder: "waiting", since: began, reason: "asked" },
    opened_at: began - at, last_message: { ...message(at, `What conversation ${at} said last`), recorded_at: began - at }, last_inbound_at: began - at,
  };
}

try {
  const made = await context(browser, { viewport: { width: 1440, height: 900 } });
  const page = await made.newPage();
  // A line in the page itself can be given its events from here.
  await page.addInitScript(() => delete window.SharedWorker);
  await page.goto(where.monitor);
  await page.getByRole("link", { name: "Live" }).waitFor();
  await page.route(/\/conversations\?/, (route) => {
    const query = new URL(route.request().url()).searchParams;
    const from = Number(query.get("cursor") ?? 0);
    const to = Math.min(COUNT, from + Number(query.get("limit")));
    const items = Array.from({ length: to - from }, (_, at) => conversation(from + at));
    return route.fulfill({ json: { items, next: to < COUNT ? String(to) : null } });
  });
  await page.route(/\/events\?/, (route) => route.fulfill({ json: { items: [], next: null, latest: 0 } }));
  let sent = 0;
  let timer;
  await page.routeWebSocket(/\/v1\/live/, (socket) => {
    socket.onMessage((text) => {
      const frame = JSON.parse(text);
      if (frame.type === "ping") return socket.send(JSON.stringify({ type: "pong" }));
      if (frame.type !== "subscribe") return;
      socket.send(JSON.stringify({ type: "subscribed", tenant: frame.tenant, conversation: null, after_seq: frame.after_seq }));
      const start = Date.now();
      clearInterval(timer);
      timer = setInterval(() => {
        for (const due = ((Date.now() - start) / 1_000) * RATE; sent < due; ) {
          sent += 1;
          const at = (sent * 7_919) % COUNT;
          const event = { seq: sent, at: Date.now(), type: "message.received", conversation: `cnv_${hex(at)}`, message: message(at, `Event ${sent}`) };
          socket.send(JSON.stringify({ type: "event", tenant: frame.tenant, seq: sent, event }));
        }
      }, 10);
    });
  });
  await page.reload();
  await page.locator(".list footer", { hasText: COUNT.toLocaleString("en") }).waitFor({ timeout: 4 * LIMIT_MS });
  const browsing = await made.newCDPSession(page);
  await browsing.send("Performance.enable");
  if (SLOWER > 1) await browsing.send("Emulation.setCPUThrottlingRate", { rate: SLOWER });
  const spent = async () => {
    const { metrics } = await browsing.send("Performance.getMetrics");
    return Object.fromEntries(metrics.map(({ name, value }) => [name, value]));
  };
  const first = await spent();
  const before = sent;
  const tasks = await page.evaluate((seconds) => new Promise((done) => {
    const long = [];
    new PerformanceObserver((list) => long.push(...list.getEntries().map((entry) => entry.duration))).observe({ type: "longtask" });
    const box = document.querySelector(".list .box");
    let frames = 0;
    const until = performance.now() + seconds * 1_000;
    const step = () => {
      frames += 1;
      box.scrollTop = (box.scrollTop + 37) % (box.scrollHeight - box.clientHeight);
      if (performance.now() < until) requestAnimationFrame(step);
      else done({ long, frames });
    };
    step();
  }), SECONDS);
  const last = await spent();
  const share = (name) => Math.round(((last[name] - first[name]) / (last.Timestamp - first.Timestamp)) * 1_000) / 10;
  const worst = Math.max(0, ...tasks.long);
  console.log(JSON.stringify({
    conversations: COUNT, seconds: SECONDS, events: sent - before, events_a_second: Math.round((sent - before) / SECONDS),
    frames_a_second: Math.round(tasks.frames / SECONDS), tasks_over_50_ms: tasks.long.filter((each) => each > LONG_MS).length, longest_ms: Math.round(worst),
    slower: SLOWER, busy_percent: share("TaskDuration"), script_percent: share("ScriptDuration"), layout_percent: share("LayoutDuration"),
  }));
  clearInterval(timer);
  if (worst > LONG_MS) process.exitCode = 1;
} finally {
  await browser.close();
  await where.stop();
}
