// Loads the pages as WeChat would, with its globals stubbed, against a running shop:
// SHOP_URL=http://127.0.0.1:5000 node --test

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { beforeEach, describe, test } = require("node:test");

const ROOT = path.join(__dirname, "..");
const SHOP_URL = process.env.SHOP_URL;

let calls;
let plugin;
let shopUrl;
let spoilSessions;

// Globals that WeChat gives a page.
global.requirePlugin = (name) => {
  calls.push(["requirePlugin", name]);
  if (!plugin) throw new Error(`plugin ${name} is not declared`);
  return plugin;
};

global.wx = {
  login: ({ success }) => {
    calls.push(["login"]);
    success({ code: "a code of wx.login" });
  },
  request: ({ url, method, data, header, success, fail }) => {
    const body = data && JSON.stringify(data);
    const headers = { "Content-Type": "application/json", ...header };
    if (spoilSessions > 0 && headers.Authorization) {
      spoilSessions -= 1;
      headers.Authorization += "x";
    }
    fetch(url, { method, body, headers })
      .then(async (reply) => success({ statusCode: reply.status, data: await reply.json() }))
      .catch(fail);
  },
  showModal: (options) => {
    calls.push(["showModal", options.title, options.content]);
    options.success({ confirm: true });
  },
  setClipboardData: ({ data }) => calls.push(["setClipboardData", data]),
  stopPullDownRefresh: () => calls.push(["stopPullDownRefresh"]),
};

function load(name) {
  for (const file of Object.keys(require.cache)) {
    if (file.startsWith(ROOT)) delete require.cache[file];
  }
  require("../config").shopUrl = shopUrl;
  let page;
  global.Page = (options) => {
    page = { ...options, setData: (data) => Object.assign(page.data, data) };
  };
  require(`../pages/${name}/${name}`);
  return page;
}

async function open(id) {
  const page = load("order");
  await page.onLoad({ id: String(id) });
  page.onShow();
  return page;
}

function callsOf(name) {
  return calls.filter((call) => call[0] === name);
}

beforeEach(() => {
  calls = [];
  shopUrl = SHOP_URL;
  spoilSessions = 0;
  plugin = {
    openWaybillTracking: (options) => calls.push(["openWaybillTracking", options]),
  };
});

describe("the order's page", () => {
  test("opens the plugin with the backend's token", async () => {
    const page = await open(1);

    page.onTrack();

    const { order } = page.data;
    assert.equal(order.state_label, "已发货");
    assert.match(order.waybill_token, /^[\w-]{64}$/);
    assert.deepEqual(callsOf("requirePlugin"), [["requirePlugin", "logisticsPlugin"]]);
    assert.deepEqual(callsOf("openWaybillTracking"), [
      ["openWaybillTracking", { waybillToken: order.waybill_token }],
    ]);
  });

  test("opens it once for several taps, and again after coming back", async () => {
    const page = await open(1);

    page.onTrack();
    page.onTrack();
    assert.equal(callsOf("openWaybillTracking").length, 1);

    page.onShow();
    page.onTrack();
    assert.equal(callsOf("openWaybillTracking").length, 2);
  });

  for (const [name, found] of [
    ["is not declared in app.json", null],
    ["is too old", {}],
    [
      "throws in openWaybillTracking",
      {
        openWaybillTracking() {
          throw new TypeError("openWaybillTracking is not a function");
        },
      },
    ],
  ]) {
    test(`shows the waybill's number when the plugin ${name}`, async (context) => {
      context.mock.method(console, "warn", () => {});
      plugin = found;
      const page = await open(1);

      page.onTrack();

      const [[, title, content]] = callsOf("showModal");
      assert.notEqual(title, "");
      assert.match(content, /SF1000000000001/);
      assert.deepEqual(callsOf("setClipboardData"), [
        ["setClipboardData", "SF1000000000001"],
      ]);
    });
  }

  test("has nothing to track before the order is shipped", async () => {
    const page = await open(2);

    page.onTrack();

    assert.equal(page.data.order.state_label, "待发货");
    assert.deepEqual(callsOf("requirePlugin"), []);
  });

  test("does not show another customer's order", async () => {
    const page = await open(3);

    page.onTrack();

    assert.equal(page.data.order, null);
    assert.equal(page.data.message, "没有找到这个订单。");
    assert.deepEqual(callsOf("requirePlugin"), []);
  });

  test("logs in again when the session has ended", async () => {
    spoilSessions = 1;

    const page = await open(1);

    assert.equal(callsOf("login").length, 2);
    assert.equal(page.data.order.id, 1);
  });

  test("shows the error when a new session is refused", async () => {
    spoilSessions = 2;

    const page = await open(1);

    assert.equal(page.data.message, "请先登录。");
  });

  test("shows an error without a network, and keeps the order", async () => {
    const page = await open(1);
    require("../config").shopUrl = "http://127.0.0.1:1";

    await page.onPullDownRefresh();

    assert.match(page.data.message, /网络不通/);
    assert.equal(page.data.order.id, 1);
    assert.equal(callsOf("stopPullDownRefresh").length, 1);
  });
});

describe("the list of orders", () => {
  test("shows the customer's own", async () => {
    const page = load("orders");

    await page.onShow();

    assert.deepEqual(
      page.data.orders.map((order) => order.id),
      [2, 1],
    );
  });

  test("shows an error without a network", async () => {
    shopUrl = "http://127.0.0.1:1";
    const page = load("orders");

    await page.onShow();

    assert.match(page.data.message, /网络不通/);
  });
});

describe("the files", () => {
  const app = JSON.parse(fs.readFileSync(path.join(ROOT, "app.json")));

  test("app.json declares the plugin under plugins, in a version that works", () => {
    const { version, provider } = app.plugins.logisticsPlugin;

    assert.equal(provider, "wx9ad912bf20548d92");
    assert.match(version, /^2\.(1\.1[2-9]|2\.\d+|3\.0)$/);
    assert.equal(app.logisticsPlugin, undefined);
  });

  for (const name of app.pages) {
    test(`${name} is whole, and what its template calls exists`, () => {
      const page = load(path.basename(name));
      const template = fs.readFileSync(path.join(ROOT, `${name}.wxml`), "utf8");
      JSON.parse(fs.readFileSync(path.join(ROOT, `${name}.json`)));
      assert.ok(fs.existsSync(path.join(ROOT, `${name}.wxss`)));

      for (const [, handler] of template.matchAll(/bind\w+="(\w+)"/g)) {
        assert.equal(typeof page[handler], "function", handler);
      }
      for (const [, field] of template.matchAll(/wx:(?:if|for)="{{(\w+)/g)) {
        assert.ok(field in page.data, field);
      }
    });
  }
});
