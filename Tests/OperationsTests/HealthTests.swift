import Operations
import Testing

@Suite struct HealthTests {
    @Test func readinessFollowsTheConditionsThatBlockIt() {
        let board = HealthBoard([.starting: "starting"])
        #expect(!board.isReady)
        #expect(board.set(.starting, nil))
        #expect(board.isReady)
        #expect(board.report == "ready\n")
        #expect(board.set(.registryUnavailable, "connection refused"))
        #expect(!board.set(.registryUnavailable, "connection refused"), "no news")
        #expect(board.isReady, "the data plane goes on while the registry is away")
        #expect(board.set(.kernelRefuses, "create vxlan link flannel.1: not supported"))
        #expect(!board.isReady)
        let lines = board.report.split(separator: "\n")
        #expect(lines.count == 3 && lines[0] == "not ready")
        #expect(lines[1].hasPrefix("error kernel-refuses: "), "the worst first")
        #expect(lines[1].contains("create vxlan link flannel.1: not supported; see the error"))
        #expect(lines[2].hasPrefix("warning registry-unavailable: "))
    }

    @Test func everyConditionSaysWhatToDo() {
        for condition in HealthCondition.allCases {
            #expect(!condition.summary.isEmpty && !condition.remedy.isEmpty)
        }
    }
}
