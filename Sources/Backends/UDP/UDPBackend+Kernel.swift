import IPNetwork
import KernelState
import Leases

extension UDPBackend {
    /// No host has the kernel plane yet (``HostFacts/kernelPlane``), so nothing asks for it.
    func kernelState(lease: Lease) -> DesiredState { DesiredState() }

    func addKernelPeer(_ subnet: IPPrefix, _ remote: IPAddress, to state: inout DesiredState) {}
}
