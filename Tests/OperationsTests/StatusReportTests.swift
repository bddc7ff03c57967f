import Leases
import Operations
import Testing

@Suite struct StatusReportTests {
    private static let whole: StatusReport = {
        var report = StatusReport(version: "1.2.3", isReady: false)
        report.conditions = [.init(name: "subnet-lost", severity: "error", text: "a: \"b\"", remedy: "c")]
        var host = StatusReport.Host(
            subnets: ["10.5.1.0/24", "fd00:10:5:1::/64"], isReservation: true, backend: "vxlan", interface: "eth0",
            addresses: ["172.30.0.11"], mtu: 1450)
        var device = StatusReport.Device(name: "flannel.1", isUp: true)
        device.receivedBytes = .max
        device.dropped = 3
        host.devices = [device]
        report.host = host
        report.peers = [
            .init(
                subnets: ["10.5.2.0/24"], addresses: ["172.30.0.12"], backend: "", path: nil, mtu: 1450, age: 7,
                problem: "refused")
        ]
        report.ignored = [.init(name: "x", reason: "y")]
        return report
    }()

    @Test func readsWhatItWrites() throws {
        for report in [Self.whole, StatusReport(version: "0", isReady: true)] {
            let bytes = report.json.serialised
            #expect(try StatusReport(json: JSONValue(parsing: bytes)) == report)
        }
    }

    @Test func anotherSchemaIsRefused() throws {
        let error = #expect(throws: FieldError.self) {
            try StatusReport(json: JSONValue(parsing: Array(#"{"schema":2}"#.utf8)))
        }
        #expect(error?.description.contains("schema is 2") == true)
    }

    @Test func aMissingFieldIsNamed() throws {
        let error = #expect(throws: FieldError.self) {
            try StatusReport(
                json: JSONValue(
                    parsing: Array(#"{"schema":1,"version":"1","ready":true,"conditions":[],"host":{}}"#.utf8)))
        }
        #expect(error?.path == "subnets")
    }
}
