import EtcdRegistry
import Leases
import Testing

@testable import Migration

/// Two registries and the migration between them.
final class World: Sendable {
    static let config = #"{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}"#

    let clock = TestClock()
    let faults = Faults()
    let v2: MemoryRegistry
    let v3: MemoryRegistry

    init(config: String? = World.config) {
        v2 = MemoryRegistry(isV2: true, clock: clock, faults: faults)
        v3 = MemoryRegistry(isV2: false, clock: clock, faults: faults)
        v2.setConfig(config)
    }

    subscript(side: MigrationSide) -> MemoryRegistry { side == .v2 ? v2 : v3 }

    var pass: MigrationPass { MigrationPass(v2: v2, v3: v3) { [clock] in clock.now } }

    func plan() async throws -> MigrationPlan { try await pass.look().plan }

    /// A run to its end.
    @discardableResult
    func settle() async throws -> MigrationPlan {
        let plan = try await pass.settle(pass.look()) { _ in }.plan
        #expect(plan.steps.isEmpty)
        return plan
    }

    /// A run that is killed at a write.
    ///
    /// - Returns: Whether it got that far.
    func settle(killedAt write: Int, afterIt isDone: Bool) async throws -> Bool {
        faults.reset(fatalWrite: write, isDone: isDone)
        defer { faults.reset(fatalWrite: nil, isDone: false) }
        do throws(MigrationFailure) {
            _ = try await pass.settle(pass.look()) { _ in }
            return false
        } catch {
            return true
        }
    }

    func advance(hours: Double) { clock.advance(.seconds(hours * 3600)) }
}

/// As flannel v0.11 writes it.
func value(_ host: Int, mac: Int = 1) -> String {
    #"{"PublicIP":"172.30.0.\#(host)","BackendType":"vxlan","BackendData":{"VtepMAC":"8e:00:00:00:00:0\#(mac)"}}"#
}

/// As flannel v0.20 and weftd write it.
func newValue(_ host: Int, mac: Int = 1) -> String {
    #"{"PublicIP":"172.30.0.\#(host)","PublicIPv6":null,"BackendType":"vxlan","#
        + #""BackendData":{"VNI":1,"VtepMAC":"8e:00:00:00:00:0\#(mac)"}}"#
}

func subnet(_ number: Int) -> String { "10.5.\(number).0-24" }

extension MigrationPlan {
    func verdict(_ name: String) -> MigrationItem.Verdict? {
        items.first { $0.subject == .lease(name) }?.verdict
    }

    var configVerdict: MigrationItem.Verdict? { items.first { $0.subject == .config }?.verdict }

    func reason(_ name: String) -> String? {
        if case .conflict(let reason, _)? = verdict(name) { reason } else { nil }
    }
}
