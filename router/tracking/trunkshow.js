// Tells Trunkshow what shoppers see and click; docs/tracking.md says how a page uses it.
//
//   seen      half of an element with data-ts-item is in sight for a second: an impression, once for each slate's item that it shows
//   clicked   such an element, or anything in it
//   sent      every 3 s, when 20 wait, and when the page is left or hidden; what failed is sent again, with the same ids;
//             in bodies of 40 events and less than 64 KiB, which is what browsers and routers take
//
// What pages get is trunkshow.min.js: this, made small by `esbuild --minify --target=es2021`, and no more than 2,048 bytes.
// Its last line is `//` and the first 16 digits of this file's SHA-256 (`sha256sum trunkshow.js`): a test compares them.
(() => {
  try {
    const page = document, tag = page.currentScript, me = tag.dataset, url = me.url || new URL("/v1/events", tag.src);
    // Characters of a body's events: each is three bytes at most, and what goes around them is less than 100.
    const room = 20000;
    const every = 3000, shown = new Map(), shows = new WeakMap(), done = new WeakSet();
    let waiting = [], pause = every, busy, scanning;
    // Whatever happens here, the page goes on.
    const safe = work => given => { try { work(given); } catch {} };

    // An event waits as it will be sent: so it is known how large it is, and one that cannot be sent holds up no other.
    const add = event => {
      const text = JSON.stringify({
        event_id: crypto.getRandomValues(new Uint32Array(4)).join("-"),
        user_id: me.user, user_token: me.token, timestamp: Date.now(), channel: "web", ...event
      });
      if (text.length >= room) console.warn("Event too large", event);
      else if (me.user && waiting.length < 500) waiting.push(text);
      soon();
    };
    // While nobody answers, the clock alone says when to try again.
    const soon = () => waiting.length > 19 && pause == every && send();
    const addOf = ({dataset: {tsItem, tsRequest, tsCarousel, tsPosition}}, interaction) => add({
      item_id: tsItem, interaction,
      request_id: tsRequest, carousel: tsCarousel, position: tsPosition ? +tsPosition : null
    });

    const body = some => `{"sent":${Date.now()},"events":[${some}]}`;
    const first = (left = room) => waiting.slice(0, 40).filter(one => (left -= one.length) > 0);
    // A body that nobody reads counts against what a browser lets outlive its page, 64 KiB for all of them.
    const post = async (some, keepalive) => {
      const answer = await fetch(url, {method: "POST", body: body(some), keepalive, credentials: "omit"});
      await answer.text();
      if (/408|429|5../.test(answer.status)) throw 0;
    };
    // What is not known to have arrived is sent again; by its id it counts once.
    const send = async () => {
      if (busy || !waiting[0]) return;
      busy = 1;
      const some = first();
      try {
        await post(some);
        waiting = waiting.filter(one => !some.includes(one));
        pause = every;
      } catch { pause = Math.min(pause * 2, 60000); }
      busy = 0;
      soon();
    };
    const turn = () => send().then(() => setTimeout(turn, pause));
    // Nobody hears what became of a beacon: it is for a page that goes for good. One that is hidden can come back.
    const leave = last => {
      while (waiting[0]) {
        const some = waiting.splice(0, first().length);
        last && navigator.sendBeacon?.(url, body(some)) ||
          post(some, true).catch(() => waiting = some.concat(waiting).slice(0, 500));
      }
    };

    // An impression is half of an element in sight for a second, of a page that is in sight itself. What an element shows
    // may change under it: pages take the same ones again. Then its second begins anew.
    const items = "[data-ts-item]", what = ({dataset: {tsItem, tsRequest}}) => [tsItem, tsRequest] + "";
    const stop = element => clearTimeout(shown.get(element));
    const start = element => shown.set(element, setTimeout(safe(() => {
      shown.delete(element);
      if (shows.get(element) != what(element)) return;
      done.add(element);
      addOf(element, "impression");
    }), 1000));
    const eyes = new IntersectionObserver(seen => seen.forEach(({target, intersectionRatio}) => {
      stop(target);
      shown.delete(target);
      if (intersectionRatio >= .5 && !done.has(target)) start(target);
    }), {threshold: .5});
    const scan = () => {
      scanning = 0;
      page.querySelectorAll(items).forEach(one => {
        if (shows.get(one) == what(one)) return;
        shows.set(one, what(one));
        done.delete(one);
        stop(one);
        eyes.unobserve(one);
        eyes.observe(one);
      });
    };
    new MutationObserver(() => scanning ||= setTimeout(scan, 99)).observe(page, {
      childList: true, subtree: true, attributeFilter: ["data-ts-item", "data-ts-request"]
    });

    const on = (kind, work) => addEventListener(kind, safe(work), true);
    const click = ({button, target}) => {
      const element = button < 2 && target.closest(items);
      if (element) addOf(element, "click");
    };
    on("click", click);
    on("auxclick", click);
    on("visibilitychange", () => {
      shown.forEach((_, element) => page.hidden ? stop(element) : start(element));
      if (page.hidden) leave();
    });
    on("pagehide", leave);
    // For what only the page knows: trunkshow.record({item_id: "hat", interaction: "cart"}).
    self.trunkshow = {record: safe(add)};
    scan();
    turn();
  } catch {} // a browser that lacks something records nothing
})();
