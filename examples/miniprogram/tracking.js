// Opens the logistics plugin's page, if there is one.

// requirePlugin throws if app.json does not declare the plugin under "plugins", and an
// old version of it (2.1.5, say) has no openWaybillTracking on a device.
function openTracking(waybillToken) {
  try {
    const plugin = requirePlugin("logisticsPlugin");
    plugin.openWaybillTracking({ waybillToken });
    return true;
  } catch (error) {
    console.warn("logisticsPlugin:", error.message);
    return false;
  }
}

module.exports = { openTracking };
