const shop = require("../../shop");

Page({
  data: { orders: [], message: "" },

  async onShow() {
    try {
      const { orders } = await shop.get("/api/orders");
      this.setData({ orders, message: orders.length ? "" : "还没有订单。" });
    } catch (error) {
      this.setData({ message: error.message });
    }
  },
});
