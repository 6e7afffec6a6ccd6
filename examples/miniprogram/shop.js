// Calls the shop's backend; logs in by itself, and again when the session has ended.

const config = require("./config");

const OFFLINE = "网络不通，请检查后重试。";

let session = "";
let loggingIn = null;

function send(method, path, data) {
  // The pages are in Chinese, and so are the shop's texts.
  const header = { "Accept-Language": "zh-CN" };
  if (session) header.Authorization = `Bearer ${session}`;
  return new Promise((resolve, reject) => {
    wx.request({
      url: config.shopUrl + path,
      method,
      data,
      header,
      timeout: 30000,
      success: resolve,
      fail: () => reject(new Error(OFFLINE)),
    });
  });
}

function check({ statusCode, data }) {
  if (statusCode !== 200) {
    throw new Error((data && data.message) || "服务暂时不可用，请稍后再试。");
  }
  return data;
}

async function exchangeCode() {
  const { code } = await new Promise((resolve, reject) => {
    wx.login({ success: resolve, fail: () => reject(new Error(OFFLINE)) });
  });
  session = check(await send("POST", "/api/login", { code })).session;
}

// Requests that begin at the same time log in once.
function login() {
  if (!loggingIn) {
    loggingIn = exchangeCode().finally(() => {
      loggingIn = null;
    });
  }
  return loggingIn;
}

async function get(path) {
  if (!session) await login();
  const reply = await send("GET", path);
  if (reply.statusCode !== 401) return check(reply);
  session = "";
  await login();
  return check(await send("GET", path));
}

module.exports = { get };
