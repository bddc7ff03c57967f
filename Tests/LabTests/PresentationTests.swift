import IPNetwork
import Testing

@testable import Lab

@Suite struct PresentationTests {
    private let plain = TextStyle(isColoured: false)

    @Test func columnsAreAlignedAndLinesHaveNoTail() {
        var table = TextTable(columns: [("NAME", .left), ("MTU", .right), ("OK", .centre), ("REST", .left)])
        table.add(["a", "1450", "✓"])
        table.add(["longer", "9", "✗ 50%", "x"])
        #expect(
            table.render(plain) == """
                  NAME     MTU   OK    REST
                  a       1450    ✓
                  longer     9  ✗ 50%  x

                """)
    }

    @Test func coloursDoNotMoveColumns() {
        var table = TextTable(columns: [("A", .left), ("B", .left)])
        table.add([TextTable.Cell("x", tone: .bad), "y"])
        #expect(table.render(TextStyle(isColoured: true), indent: 0).hasSuffix("\u{1b}[31mx\u{1b}[0m  y\n"))
    }

    @Test func theMatrixNamesWhatIsLost() throws {
        let good = EchoProbe.Tally(sent: 3, received: 3)
        let bad = EchoProbe.Tally(sent: 3, received: 1)
        let text = LabReport(plan: try plan(), style: plain).matrix(
            PingMatrix(names: ["c1.h1", "c1.h2"], tallies: [[nil, good], [bad, nil]]))
        #expect(
            text == """

                Pings: every container from every other
                  FROM \\ TO  c1.h1  c1.h2
                  c1.h1        ·      ✓
                  c1.h2      ✗ 67%    ·
                  ✗ 1 of 2 paths lose packets

                """)
    }

    @Test func aLargeMatrixIsSummedUpByHost() {
        let good = EchoProbe.Tally(sent: 3, received: 3)
        let bad = EchoProbe.Tally(sent: 3, received: 0)
        let matrix = PingMatrix(
            names: ["c1.h1", "c2.h1", "c1.h2"], tallies: [[nil, good, good], [good, nil, bad], [good, good, nil]])
        let summed = LabReport.byHost(matrix)
        #expect(summed.names == ["h1", "h2"])
        #expect(summed.tallies[0][0] == EchoProbe.Tally(sent: 6, received: 6))
        #expect(summed.tallies[0][1] == EchoProbe.Tally(sent: 6, received: 3))
        #expect(summed.tallies[1][1] == nil)
    }

    @Test func aHostThatLacksSomethingSaysSo() throws {
        let plan = try plan()
        let state = try HostState(ipOutput: "[]\n[]\n[]\n", device: "flannel.1")
        let text = LabReport(plan: plan, style: plain).hostTable([
            HostReport(
                host: plan.hosts[0], subnet: nil, leasedIP: nil, leasedMAC: nil, state: state, daemonRuns: false)
        ])
        for words in ["not in etcd", "none", "flannel.1 is missing", "stopped"] { #expect(text.contains(words)) }
    }

    @Test func aBreakageThatDoesNotHealIsReportedHonestly() throws {
        var state = try HostState.sample
        state.device = nil
        state.routes = []
        let report = BreakageReport(
            breakage: .device, healed: nil, limit: .seconds(10),
            differences: try HostState.sample.differences(to: state),
            pings: EchoProbe.Tally(sent: 100, received: 40, longestGap: 60), path: "c1.h1 to c1.h2")
        #expect(
            report.text(plain) == """
                  ✗ not healed after 10 s
                    flannel.1 is missing
                    missing: 1 route
                  60 of 100 pings lost from c1.h1 to c1.h2 at 100 a second, the longest silence about 600 ms

                """)
    }

    @Test func numbersReadWell() {
        #expect(Format.seconds(.milliseconds(449)) == "0.4 s")
        #expect(Format.seconds(.seconds(10)) == "10 s")
        #expect(Format.rate(11_840_000_000) == "11.8 Gbit/s")
        #expect(Format.rate(940_100_000) == "940 Mbit/s")
        #expect(Format.count(1, "host") == "1 host")
    }

    private func plan() throws -> LabPlan {
        try LabPlan(
            name: "x", hostCount: 2, containersPerHost: 1, backend: .vxlan, engine: .namespaces, daemonPath: "/d",
            etcdPath: "/e")
    }
}
