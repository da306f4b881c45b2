// No Go is here: this keeps Go out of node_modules.
module vulcan.lan/vulcan_exporter/test/dashview

go 1.26.7
