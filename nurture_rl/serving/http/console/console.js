// The console: reads figures with the key that is given, and changes roles of policies.

import { bars, control, count, interval, make, numbers, percent, share, table } from "/console/charts.js";

const KEY = "nurture-console-key"; // in this tab alone, until it is closed
const EVERY = 60000; // milliseconds between two looks
const TRAILING = 7; // days of a rate on a control chart
const main = document.getElementById("main");
const status = document.getElementById("status");
const journey = document.getElementById("journey");
let about = null; // what the key may do

class Refused extends Error {
  constructor(code, text) { super(text); this.code = code; }
}

/** The answer of the server, or `Refused` with its own words. */
async function ask(path, body) {
  const headers = {}, key = sessionStorage.getItem(KEY);
  if (key) headers.authorization = `Bearer ${key}`;
  if (body) headers["content-type"] = "application/json";
  const given = { method: body ? "POST" : "GET", headers, body: body ? JSON.stringify(body) : undefined };
  let answer;
  try { answer = await fetch(path, given); } catch { throw new Refused(0, "the server does not answer; try again"); }
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, told.detail || `the server answered ${answer.status}`);
  return told;
}

const days = document.getElementById("days");
const of = (path) => `${path}${path.includes("?") ? "&" : "?"}journey=${encodeURIComponent(journey.value)}`;
const may = (scope) => about.scopes.includes(scope);
const local = (moment) => new Date(moment).toLocaleString("sv-SE", { timeZone: "UTC" }) + " UTC";

// ---------------------------------------------------------------- pages

const PAGES = {
  now: { title: "Now", show: now },
  lift: { title: "Lift", show: lift },
  mail: { title: "Mailboxes", show: mail },
  health: { title: "Health", show: health },
  policies: { title: "Policies", show: policies },
  contact: { title: "Contact", show: contact },
};

async function now() {
  const [decided, reach, roles, boxes] = await Promise.all([
    ask(of(`/v1/console/decisions?days=${days.value}`)), ask("/v1/console/reach"),
    may("policies") ? ask("/v1/policies") : null, ask(`/v1/console/mail?days=${days.value}`),
  ]);
  const sent = sum(decided.actions.send || []);
  const facts = [switchFact(roles), mailFact(boxes), {
    what: "Contacts that mail may reach", says: reach.looked_at ? percent(reach.reachable / reach.looked_at) : "no contacts",
    more: `of ${count(reach.contacts)}${reach.looked_at < reach.contacts ? `, by a sample of ${count(reach.looked_at)}` : ""}`,
  }, {
    what: `Decisions in ${days.value} days`, says: count(decided.decisions),
    more: `${count(sent)} to send${decided.left_out ? `; ${count(decided.left_out)} older ones are not counted` : ""}`,
  }, lowestFact(decided)];
  const most = Math.max(1, ...Object.values(decided.actions).map((days) => Math.max(...days)));
  const mix = Object.entries(decided.actions).map(([name, values]) => bars(name, decided.days, values, most));
  const names = Object.keys(decided.actions);
  return [
    factList(facts),
    make("h2", {}, "Arms"),
    arms(decided),
    make("h2", {}, "What was decided, by day"),
    names.length ? make("div", { class: "bars" }, ...mix) : make("p", {}, "Nothing was decided in these days."),
    names.length ? numbers("decisions by day", [{ name: "day", text: true }, ...names.map((name) => ({ name }))],
      decided.days.map((day, i) => [day, ...names.map((name) => count(decided.actions[name][i]))])) : null,
    make("h2", {}, "Which guardrails forbade something"),
    guardrails(decided),
    make("h2", {}, "Messages that were chosen"),
    table(`Decisions to send in ${days.value} days, by message`, [{ name: "message", text: true }, { name: "decisions" }, { name: "share", text: true }],
      Object.entries(decided.messages).map(([name, n]) => [name, count(n), share(n / Math.max(1, sent))])),
    withdrawn(decided),
    make("h2", {}, "Why contacts cannot be reached"),
    table("Of the contacts that were looked at; one may have several reasons", [{ name: "reason", text: true }, { name: "contacts" }, { name: "share", text: true }],
      Object.entries(reach.against).map(([why, n]) => [why, count(n), share(n / reach.looked_at)])),
  ];
}

function switchFact(roles) {
  if (roles === null) return { what: "Switch", says: "not for this key", more: "it needs the scope policies" };
  const at = roles.switches[journey.value], canary = roles.policies.find((one) => one.role === "canary" && one.journey === journey.value);
  const says = { learned: "the policy decides", rules: "rules decide", pause: "nothing is sent" }[at] || at;
  return { what: "Switch", says, bad: at === "pause", good: at === "learned",
    more: canary ? `canary ${canary.policy_id.slice(0, 8)} has ${percent(canary.share)} of new episodes` : "no canary" };
}

function mailFact(boxes) {
  const worst = boxes.families.filter((one) => one.complaints.rate !== null && sum(one.mails) >= FEW)
    .sort((a, b) => b.complaints.rate - a.complaints.rate)[0];
  if (!worst) return { what: "Complaints per mail", says: "too little mail to say", more: `families of mailboxes with ${FEW} mails or more are judged` };
  const rate = worst.complaints.rate;
  return { what: "Complaints per mail, worst mailboxes", says: percent(rate), bad: rate >= boxes.complaint_lines[0], good: rate < boxes.complaint_lines[0],
    more: `${worst.family}: ${standing(rate, boxes.complaint_lines)}` };
}

function lowestFact(decided) {
  const low = decided.smallest_propensity;
  if (low === null) return { what: "Smallest propensity", says: "none yet", more: "" };
  const part = decided.below_floor / Math.max(1, decided.decisions);
  return { what: "Smallest propensity", says: low.toPrecision(2), bad: part > 0.01,
    more: `${percent(part)} of decisions are below 0.001: too many make an evaluation rest on few contacts` };
}

function arms(decided) {
  const rows = decided.arms.map((one) => [one.arm, count(one.contacts), count(one.decisions), count(one.sends), count(one.escalations),
    count(one.began), count(one.reached), one.began ? percent(one.reached / one.began) : "none began"]);
  const heads = ["arm", "contacts", "decisions", "sends", "escalations", "episodes begun", `reached ${decided.north_star}`, "share"];
  return make("div", {},
    table(`Arms of journey ${decided.journey}, ${days.value} days`, heads.map((name, i) => ({ name, text: i === 0 })), rows),
    make("p", { class: "note" }, "Shares of arms are no proof: chance moves them, and who looks daily is fooled sooner or later. The report of ",
      make("code", {}, "nurture lift"), " has intervals that hold at every look."));
}

function guardrails(decided) {
  const rows = decided.guardrails.map((one) => [one.name, one.says, count(sum(one.decisions)), share(sum(one.decisions) / Math.max(1, decided.decisions))]);
  return table(`Share of decisions in which a guardrail forbade an action, ${days.value} days`,
    [{ name: "guardrail", text: true }, { name: "says", text: true }, { name: "decisions" }, { name: "share", text: true }], rows);
}

function withdrawn(decided) {
  const rows = Object.entries(decided.withdrawn).sort((a, b) => b[1] - a[1]).map(([why, n]) => [why, count(n)]);
  if (!rows.length) return null;
  return table(`Sends that were taken back in ${days.value} days, by why`, [{ name: "why", text: true }, { name: "sends" }], rows);
}

async function lift() {
  const look = await ask(of("/v1/console/lift")), told = look.report;
  const broken = look.problems.length ? [make("p", { class: "problem" }, "Reports that cannot be read; run the verb again, or remove them:"),
    make("ul", {}, ...look.problems.map((one) => make("li", {}, one)))] : [];
  if (look.left_out) broken.push(make("p", { class: "note" }, `${count(look.left_out)} reports that were written earlier are not looked at.`));
  if (told === null) return [make("p", {}, `No report on ${look.journey}: ${look.missing}.`), ...broken];
  const star = told.figures[0], harms = told.figures.filter((one) => one.role === "supporting" && one.better === "lower");
  const worse = harms.filter((one) => one.verdict === "worse");
  const facts = [
    { what: "Verdict", says: star ? star.verdict : "cannot tell yet", bad: star?.verdict === "worse", good: star?.verdict === "better",
      more: star ? `${told.arm} less ${told.against}, ${star.name}` : told.read_once ? "told once, at the planned end" : "too few can be compared yet" },
    { what: "Harm", says: worse.length ? worse.map((one) => one.name).join(", ") : harms.some((one) => one.upper !== null) ? "none is seen" : "not known yet", bad: worse.length > 0,
      more: harms.map((one) => `${one.name}: ${one.upper === null ? "nothing can be said yet" : `at most ${amount(one, one.upper)}`}`).join("; ") },
    { what: "Read", says: told.as_of.slice(0, 10), more: `${told.read_once ? "" : `${percent(told.followed)} of the plan is followed up; `}among ${told.among}` },
    planFact(look, told),
  ];
  const heads = ["figure", "role", told.arm || "arm", told.against, "difference", "interval", "verdict"];
  const rows = told.figures.map((one) => [`${one.name}, ${one.per === "days" ? "days" : "in 1,000"}`, one.role, amount(one, one.treated), amount(one, one.usual), amount(one, one.difference, true), ends(one),
    { value: one.verdict, bad: one.verdict === "worse" }]);
  return [
    factList(facts),
    make("dl", {}, ...told.answers.flatMap(([question, answer]) => [make("dt", {}, question), make("dd", {}, answer.replaceAll("`", ""))])),
    star && star.lower !== null ? make("h2", {}, "North star") : null,
    star && star.lower !== null ? interval(`${told.arm} less ${told.against}: ${star.name}, ${star.per === "days" ? "days" : "in 1,000 contacts"}`,
      `${amount(star, star.difference, true)} ${ends(star)}${star.worth ? `; dashed: ±${amount(star, star.worth)}, the least worth having` : ""}`, star.difference, star.lower, star.upper, star.worth) : null,
    rows.length ? make("h2", {}, "Every key figure") : null,
    rows.length ? table(`Intervals hold ${told.read_once ? "at the planned end" : "at all times together"} with ${percent(told.level)}`, heads.map((name, i) => ({ name, text: i < 2 || i === 6 })), rows) : null,
    make("p", { class: "note" }, `The whole report is lift.html in the folder ${told.folder}. ${told.provenance}`),
    ...broken,
  ];
}

function planFact(look, told) {
  const same = look.served_plan === told.plan;
  if (look.served_plan === null) return { what: "Plan", says: told.experiment, more: `${told.plan}; no experiment is served now` };
  return { what: "Plan", says: told.experiment, good: same, bad: !same,
    more: same ? `${told.plan}: the plan of the served experiment` : `${told.plan}: not the plan of the served experiment ${look.served_experiment} (${look.served_plan})` };
}

/** A figure per 1,000 contacts, or in days. */
function amount(one, value, signed = false) {
  const scaled = one.per === "days" ? value : 1000 * value, size = Math.abs(scaled);
  const text = size >= 100 ? size.toFixed(0) : size === 0 ? "0" : size.toPrecision(3);
  return `${scaled < 0 ? "\u2212" : signed && scaled > 0 ? "+" : ""}${text}`;
}

const ends = (one) => one.lower === null ? "nothing can be said yet" : `[${amount(one, one.lower, true)}, ${amount(one, one.upper, true)}]`;

async function mail() {
  const boxes = await ask(`/v1/console/mail?days=${days.value}`);
  const parts = [make("p", {}, `Mail of all journeys in ${days.value} days, by who runs the mailbox. Large providers ask bulk senders to stay below `
    + `${percent(boxes.complaint_lines[0])} complaints per mail and never to reach ${percent(boxes.complaint_lines[1])}. They see complaints that no webhook tells: their own tools say more.`)];
  const kinds = { consumer: "Consumer mailboxes", business: "Business mailboxes", unknown: "Contacts without a domain" };
  for (const [kind, title] of Object.entries(kinds)) {
    const families = boxes.families.filter((one) => one.kind === kind);
    if (!families.length) continue;
    parts.push(make("h2", {}, title), familyTable(title, families, boxes.complaint_lines));
    for (const one of families) parts.push(...familyCharts(one, boxes));
  }
  if (!boxes.families.length) parts.push(make("p", {}, "No mail has been decided or reported in these days."));
  parts.push(make("h2", {}, "When the server slowed mail down"));
  parts.push(boxes.audit.length ? table("Latest changes of what families get", [{ name: "at", text: true }, { name: "family", text: true }, { name: "now", text: true }, { name: "why", text: true }],
    boxes.audit.map((one) => [local(one.at), one.family, one.state, one.why])) : make("p", {}, "Never, as far as the store remembers."));
  return parts;
}

const FEW = 100; // mails below which a family is not judged
const standing = (rate, lines, mails = FEW) => rate === null ? "no mail" : mails < FEW ? "too little mail to say" : rate < lines[0] ? `below ${percent(lines[0])}`
  : rate < lines[1] ? `above ${percent(lines[0])}` : `above ${percent(lines[1])}: stop and look`;

function familyTable(title, families, lines) {
  const heads = ["family", "mails", "complaints", "per mail", "so it is", "hard bounces", "per mail"];
  return table(`${title}, ${days.value} days`, heads.map((name, i) => ({ name, text: i === 0 || i === 4 })), families.map((one) => [
    one.family, count(sum(one.mails)), count(sum(one.complaints.counts)), percent(one.complaints.rate),
    { value: standing(one.complaints.rate, lines, sum(one.mails)), bad: one.complaints.rate >= lines[0] && sum(one.mails) >= FEW },
    count(sum(one.bounces.counts)), percent(one.bounces.rate)]));
}

function familyCharts(one, boxes) {
  const complaints = trailing(one.complaints.counts, one.mails), bounces = trailing(one.bounces.counts, one.mails);
  const title = `${one.family}: complaints per mail in the ${TRAILING} days before`;
  return [
    make("div", { class: "bars" },
      control(title, boxes.days, complaints, boxes.complaint_lines, one.complaints.signals),
      control(`${one.family}: hard bounces per mail in the ${TRAILING} days before`, boxes.days, bounces, [0.02], one.bounces.signals)),
    make("p", { class: "note" }, "Dashed: what must not be crossed. A triangle: a day with more than chance makes at the rate of these days."),
    numbers(`${one.family} by day`, [{ name: "day", text: true }, { name: "mails" }, { name: "complaints" }, { name: "most by chance" }, { name: "hard bounces" }, { name: "most by chance" }],
      boxes.days.map((day, i) => [day, one.mails[i], one.complaints.counts[i], one.complaints.most[i], one.bounces.counts[i], one.bounces.most[i]].map(String))),
  ];
}

/** Harms per mail in some days up to each day; null where no mail went. */
function trailing(harms, mails) {
  return mails.map((_, i) => {
    const from = Math.max(0, i - TRAILING + 1), all = sum(mails.slice(from, i + 1));
    return all ? Math.min(1, sum(harms.slice(from, i + 1)) / all) : null;
  });
}

async function health() {
  const found = await ask(of("/v1/console/health"));
  const told = make("p", {}, `The latest ${found.days} days against the ${found.before} days before, as the verb monitor compares them.`);
  if (found.missing) return [told, make("p", { class: "problem" }, found.missing)];
  const alerts = found.figures.filter((one) => one.alert);
  const number = (value) => value === null ? "" : Number(value).toPrecision(3);
  const rows = (figures) => figures.map((one) => [one.name, number(one.before), number(one.now), number(one.limit), one.says]);
  const heads = [{ name: "figure", text: true }, { name: "before" }, { name: "now" }, { name: "limit" }, { name: "what it is", text: true }];
  return [
    factList([{ what: "Alerts", says: count(alerts.length), bad: alerts.length > 0, good: alerts.length === 0, more: `of ${found.figures.length} figures` }]),
    told,
    make("h2", {}, "Alerts"),
    alerts.length ? table("Beyond their limit", heads, rows(alerts)) : make("p", {}, "No figure is beyond its limit."),
    make("h2", {}, "All figures"),
    table("All other figures", heads, rows(found.figures.filter((one) => !one.alert))),
  ];
}

async function policies() {
  if (!may("policies")) return [make("p", { class: "problem" }, "This key does not open policies; it needs the scope policies.")];
  const [roles, log] = await Promise.all([ask("/v1/policies"), ask("/v1/policies/log")]);
  const mine = roles.policies.filter((one) => one.journey === journey.value), at = roles.switches[journey.value];
  const says = { learned: "the policy decides", rules: "the rules decide for everybody", pause: "nothing is sent to anybody" }[at];
  const button = (text, kind, options) => make("button", { type: "button", class: kind, onclick: () => change(options) }, text);
  const to = (where, title, text, kind = "") => ({ title, text, yes: title, kind, send: (why) => ask("/v1/switch", { to: where, why, journey: journey.value }) });
  return [
    factList([{ what: `Switch of ${journey.value}`, says, bad: at === "pause", good: at === "learned", more: (roles.rules_in[journey.value] || []).map((one) => `rules in stage ${one}`).join(", ") }]),
    make("p", { class: "choices" },
      at === "pause" ? null : button("Pause all mail of this journey", "danger", to("pause", "Pause all mail", "Nothing is sent in this journey until the switch is set back. Planned mail is taken back.", "danger")),
      at === "rules" ? null : button("Let the rules decide", "", to("rules", "Let the rules decide", "The journey's rules decide for everybody; what was learned is not asked.")),
      at === "learned" ? null : button("Let the policy decide", "primary", to("learned", "Let the policy decide", "The policy decides again, for everybody who is not in a canary."))),
    make("h2", {}, "Loaded policies"),
    table(`Policies of journey ${journey.value}`, ["policy", "role", "share", "since", "change"].map((name, i) => ({ name, text: i !== 2 })),
      mine.map((one) => [one.policy_id, one.role, one.share === null ? "" : percent(one.share), one.since ? local(one.since) : "the start", roleButtons(one, mine.some((other) => other.role === "previous"), button)])),
    make("p", { class: "note" }, "A further bundle is loaded by ", make("code", {}, "POST /v1/policies"), ", from the server's folder of bundles."),
    make("h2", {}, "Changes"),
    table("Latest changes, the latest first", ["at", "who", "what", "policy", "why"].map((name) => ({ name, text: true })),
      log.changes.slice(-50).reverse().map((one) => [one.at ? local(one.at) : "", one.who, one.action, one.policy_id || "", one.why])),
  ];
}

function roleButtons(one, hasPrevious, button) {
  const short = one.policy_id.slice(0, 8), path = `/v1/policies/${encodeURIComponent(one.policy_id)}`;
  const plain = (name, title, text) => button(title, "", { title: `${title}: ${short}`, text, yes: title, send: (why) => ask(`${path}/${name}`, { why }) });
  const found = [];
  if (one.role !== "champion" && one.role !== "canary") {
    found.push(button("Canary", "", { title: `Canary: ${short}`, text: "It decides for a share of the contacts whose episode begins from now on.", yes: "Start canary", share: true,
      send: (why, part) => ask(`${path}/canary`, { why, share: part }) }));
    if (one.role !== "shadow") found.push(plain("shadow", "Shadow", "It is asked beside the champion, and not followed."));
  }
  if (one.role !== "champion") found.push(plain("promote", "Promote", "It decides for everybody. The champion is kept as the previous one."));
  if (["canary", "shadow"].includes(one.role) || (one.role === "champion" && hasPrevious)) found.push(plain("rollback", "Roll back", "It loses its role; after a champion the previous one decides."));
  return make("span", { class: "choices" }, ...found);
}

async function contact(rest) {
  const name = decodeURIComponent(rest.join("/"));
  const field = make("input", { id: "whom", type: "text", value: name, autocomplete: "off", spellcheck: "false" });
  const form = make("form", { class: "line", onsubmit: (event) => { event.preventDefault(); location.hash = `#/contact/${encodeURIComponent(field.value.trim())}`; } },
    make("div", {}, make("label", { for: "whom" }, "Id of a contact"), field), make("button", { type: "submit", class: "primary" }, "Show"));
  if (!may("decisions")) return [make("p", { class: "problem" }, "This key does not open what was decided for a person; it needs the scope decisions.")];
  if (!name) return [form];
  if (name.includes("/") || /^\.\.?$/.test(name)) return [form, make("p", { class: "problem", role: "alert" }, "An id with a slash, or of dots alone, has no path: nurture explain tells its decisions.")];
  let found;
  try { found = await ask(`/v1/timelines/${encodeURIComponent(name)}`); } catch (error) {
    if (error.code !== 404 && error.code !== 400) throw error;
    return [form, make("p", { class: "problem", role: "alert" }, error.message)];
  }
  return [
    form,
    factList([
      { what: "Mail may reach them", says: found.reachable ? "yes" : "no", bad: !found.reachable, good: found.reachable, more: found.against.join("; ") },
      { what: "Account", says: found.account_id || "none", more: "" }, { what: "Time zone", says: found.time_zone || "unknown", more: "" },
    ]),
    make("h2", {}, "What happened, the latest first"),
    found.cut ? make("p", { class: "note" }, "Older decisions or events are left out.") : null,
    make("ol", { class: "timeline" }, ...found.entries.map(entry)),
  ];
}

function entry(one) {
  const box = make("div", { "aria-live": "polite" });
  const why = one.kind === "decision" ? make("button", { type: "button", "aria-expanded": "false", "aria-label": `Why ${one.what}, ${one.at}?`, onclick: (event) => explain(event.currentTarget, box, one) }, "Why this, why not that?") : null;
  return make("li", {}, make("time", { datetime: one.at }, local(one.at)),
    make("p", {}, make("span", { class: "tag" }, one.kind), make("span", { class: "what" }, one.what), one.source ? `, told by ${one.source}` : ""),
    one.detail ? make("p", { class: "note" }, one.detail) : null, why, box);
}

async function explain(button, box, one) {
  const open = button.getAttribute("aria-expanded") === "true";
  button.setAttribute("aria-expanded", String(!open));
  if (open) { box.replaceChildren(); return; }
  try {
    const found = await ask(`/v1/decisions/${encodeURIComponent(one.decision_id)}/explain`);
    box.replaceChildren(make("div", { class: "why" }, ...found.text.map((line) => make("p", {}, line))));
  } catch (error) {
    box.replaceChildren(make("p", { class: "problem" }, error.message));
  }
}

// ---------------------------------------------------------------- asking before something changes

const dialog = document.getElementById("asking");
let changing = null;

function change(options) {
  changing = options;
  const set = (id, text) => { document.getElementById(id).textContent = text; };
  set("asking-title", options.title); set("asking-text", options.text); set("asking-yes", options.yes); set("asking-problem", "");
  document.getElementById("asking-yes").className = options.kind || "primary";
  document.getElementById("asking-share-line").hidden = !options.share;
  document.getElementById("asking-why").value = "";
  dialog.showModal();
  document.getElementById("asking-why").focus();
}

document.getElementById("asking-no").addEventListener("click", () => dialog.close());
document.getElementById("asking-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const why = document.getElementById("asking-why").value.trim(), problem = document.getElementById("asking-problem");
  const part = Number(document.getElementById("asking-share").value) / 100;
  if (!why) { problem.textContent = "Say why; it is kept in the log."; document.getElementById("asking-why").focus(); return; }
  if (changing.share && !(part > 0 && part < 1)) { problem.textContent = "Give a share between 1 and 99 per cent."; return; }
  const yes = document.getElementById("asking-yes");
  yes.disabled = true;
  try {
    await changing.send(why, part);
    dialog.close();
    await show();
    tell(`Done: ${changing.title}`);
  } catch (error) { problem.textContent = error.message; } finally { yes.disabled = false; }
});

// ---------------------------------------------------------------- frame

const sum = (values) => values.reduce((a, b) => a + b, 0);

function factList(facts) {
  return make("ul", { class: "facts" }, ...facts.map((one) => make("li", { class: one.bad ? "bad" : one.good ? "good" : "" },
    make("span", { class: "what" }, one.what), make("span", { class: "says" }, one.says), make("span", { class: "more" }, one.more))));
}

function tell(text) {
  status.textContent = text;
  setTimeout(() => { if (status.textContent === text) status.textContent = ""; }, 6000);
}

function place() {
  const [name, ...rest] = location.hash.replace(/^#\//, "").split("/");
  return { name: name in PAGES ? name : "now", rest };
}

let shown = 0; // number of the latest look: an older one that comes late is not shown

async function show(moved = false, first = false) {
  const { name, rest } = place(), number = ++shown;
  if (about === null) return;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#/${name}`) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
  }
  document.title = `${PAGES[name].title} - nurture_rl console`;
  delete main.dataset.shown;
  if (moved) main.replaceChildren(make("h1", {}, PAGES[name].title), make("p", { class: "note" }, "Reading ..."));
  let parts;
  try { parts = await PAGES[name].show(rest); } catch (error) {
    if (error.code === 401) { sessionStorage.removeItem(KEY); await begin(error.message); return; }
    parts = [make("p", { class: "problem", role: "alert" }, error.message)];
  }
  if (number !== shown) return;
  const at = make("p", { class: "note" }, `As of ${local(Date.now())}; figures may be some minutes old where they take long.`);
  main.replaceChildren(make("h1", {}, PAGES[name].title), at, ...parts.filter((part) => part !== null));
  main.dataset.shown = location.hash || "#/now";
  const free = !first || document.activeElement === document.body; // who tabs while it loads stays where they are
  if (moved && free) { main.focus({ preventScroll: true }); window.scrollTo(0, 0); }
}

function askForKey(problem) {
  const field = make("input", { id: "key", type: "password", autocomplete: "off", required: true });
  main.replaceChildren(make("h1", {}, "Key"), make("p", {}, "Give an API key with the scope console. It stays in this tab until you close it."),
    make("p", { class: "problem", role: "alert" }, problem),
    make("form", { class: "line", onsubmit: async (event) => { event.preventDefault(); sessionStorage.setItem(KEY, field.value.trim()); await begin(); } },
      make("div", {}, make("label", { for: "key" }, "API key"), field), make("button", { type: "submit", class: "primary" }, "Open")));
}

async function begin(problem = "") {
  about = null;
  if (problem) { askForKey(problem); return; }
  try { about = await ask("/v1/console"); } catch (error) {
    askForKey(error.code === 401 && !sessionStorage.getItem(KEY) ? "" : error.message);
    return;
  }
  document.getElementById("leave").hidden = !about.needs_key;
  const kept = journey.value;
  journey.replaceChildren(...about.journeys.map((name) => make("option", { value: name }, name)));
  if (about.journeys.includes(kept)) journey.value = kept;
  await show(true, true);
}

document.getElementById("refresh").addEventListener("click", () => show());
document.getElementById("leave").addEventListener("click", () => { sessionStorage.removeItem(KEY); begin(); });
for (const field of [journey, days]) field.addEventListener("change", () => show());
window.addEventListener("hashchange", () => { if (location.hash.startsWith("#/")) show(true); });
setInterval(() => {
  const busy = document.hidden || dialog.open || about === null || main.contains(document.activeElement) || main.querySelector("details[open], [aria-expanded=true]");
  if (!busy) show();
}, EVERY);
begin();
