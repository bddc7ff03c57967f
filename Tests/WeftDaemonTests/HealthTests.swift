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
        #expect(
            board.report == """
                not ready
                error kernel-refuses: the kernel refuses part of the desired state: create vxlan link flannel.1: not supported
                warning registry-unavailable: the registry cannot be used; the data plane goes on as it is: connection refused

                """)
    }

    @Test func everyConditionSaysWhatToDo() {
        for condition in HealthCondition.allCases {
            #expect(!condition.summary.isEmpty && !condition.remedy.isEmpty)
        }
    }
}
