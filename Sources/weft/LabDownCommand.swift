import ArgumentParser
import Lab

struct LabDownCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "down", abstract: "Remove a lab, whatever is left of it.")

    @OptionGroup var name: LabName

    func run() async throws {
        let removed = try await LabTeardown.run(name.value)
        print(removed ? "The lab \(name.value) is gone." : "There is no lab called \(name.value).")
    }
}
