module.exports = {
  // The shop's backend. On a device it has to be https, and listed in the console under
  // 服务器域名.
  shopUrl: "http://127.0.0.1:5000",
};
