// The story of a parcel, told by a Node client: node story.js CLIENT URL APPID SECRET EXAMPLE
'use strict';

const [client, url, appid, secret, text] = process.argv.slice(2);
const example = JSON.parse(text);
const path = 'cgi-bin/express/delivery/open_msg/';

function easywechat() {
  const { MiniApp } = require('node-easywechat');
  const app = new MiniApp({
    app_id: appid,
    secret,
    use_stable_access_token: true,
    http: { baseURL: url + '/', throw: false },
  });
  const post = async (endpoint, payload) =>
    (await app.getClient().postJson(path + endpoint, payload)).toObject();
  const renewing = async (endpoint, payload) => {
    const reply = await post(endpoint, payload);
    if (reply.errcode !== 42001) return reply;
    await app.getAccessToken().refresh();
    return post(endpoint, payload);
  };
  return renewing;
}

function cowechat() {
  const API = require('co-wechat-api');
  const { postJSON } = require('co-wechat-api/lib/util');
  const api = new API(appid, secret);
  api.prefix = url + '/cgi-bin/';
  return async (endpoint, payload) => {
    const token = await api.ensureAccessToken();
    const address = `${url}/${path}${endpoint}?access_token=${token.accessToken}`;
    try {
      return await api.request(address, postJSON(payload));
    } catch (error) {
      if (!error.code) throw error;
      return { errcode: error.code };
    }
  };
}

async function main() {
  const post = { 'node-easywechat': easywechat, 'co-wechat-api': cowechat }[client]();
  const registered = await post('trace_waybill', example);
  const token = registered.waybill_token;
  const trace = await post('query_trace', { waybill_token: token });
  await post('update_waybill_goods', {
    waybill_token: token,
    goods_info: example.goods_info,
  });
  const carriers = await post('get_delivery_list', {});
  await post('trace_waybill', { ...example, openid: 'x' });
  await post('trace_waybill', { ...example, waybill_id: 'UNKNOWN' });
  await fetch(url + '/_sandbox/tick', { method: 'POST', body: '{"hours": 3}' });
  await post('get_delivery_list', {});
  console.log(
    JSON.stringify([
      trace.waybill_info.waybill_id,
      trace.shop_info.goods_info.detail_list[0].goods_name,
      carriers.count === carriers.delivery_list.length,
    ])
  );
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
