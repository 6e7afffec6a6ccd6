const shop = require("../../shop");
const { openTracking } = require("../../tracking");

Page({
  data: { order: null, message: "" },

  // WeChat's messages lead here too: the backend registers the waybill with the
  // order_detail_path "pages/order/order?id=…".
  onLoad({ id }) {
    this.id = id;
    return this.refresh();
  },

  onShow() {
    this.opening = false;
  },

  async onPullDownRefresh() {
    await this.refresh();
    wx.stopPullDownRefresh();
  },

  async refresh() {
    try {
      const order = await shop.get(`/api/orders/${encodeURIComponent(this.id)}`);
      this.setData({ order, message: "" });
    } catch (error) {
      this.setData({ message: error.message });
    }
  },

  // "查看物流". A second tap must not open a second page on top of the first.
  onTrack() {
    const { order } = this.data;
    if (this.opening || !order || !order.waybill_token) return;
    this.opening = openTracking(order.waybill_token);
    if (!this.opening) this.showWaybill(order);
  },

  // Without the plugin: what the shop knows, and the number to ask the carrier with.
  showWaybill(order) {
    wx.showModal({
      title: order.parcel_label || order.state_label,
      content: `暂时打不开物流详情。运单号 ${order.waybill_id}，可复制后到快递公司查询。`,
      confirmText: "复制单号",
      success({ confirm }) {
        if (confirm) wx.setClipboardData({ data: order.waybill_id });
      },
    });
  },
});
