//! What Kubernetes calls the chips of MindCluster's device plugin.

/// A kind of NPU.
#[derive(Debug, PartialEq, Eq)]
pub struct Npu {
    /// The resource that a pod asks for; the scheduler's annotation with the devices of a pod has the same name.
    pub resource: &'static str,
    /// Value of the label `ring-controller.atlas`, by which Ascend Operator and ClusterD know the job's chips.
    pub ring: &'static str,
}

/// By the beginning of the chip's name, the longest first. Source: MindCluster's user guide and its device plugin,
/// gitcode.com/Ascend/mind-cluster.
const NPUS: &[(&str, Npu)] = &[
    ("310p", Npu { resource: "huawei.com/Ascend310P", ring: "ascend-310P" }),
    ("310", Npu { resource: "huawei.com/Ascend310", ring: "ascend-310" }),
    ("950", Npu { resource: "huawei.com/npu", ring: "ascend-npu" }),
    ("910b", A2),
    ("910", Npu { resource: "huawei.com/Ascend910", ring: "ascend-910" }),
];

/// Atlas A2, and A3, which has the same names.
const A2: Npu = Npu { resource: "huawei.com/Ascend910", ring: "ascend-910b" };

/// The NPU of a chip as [`crate::resolve::wheels::chip`] has it: `910`, `910b`, `310p`, `a3`.
pub fn of_chip(chip: &str) -> &'static Npu {
    NPUS.iter().find(|(name, _)| chip.starts_with(name)).map_or(&A2, |(_, npu)| npu)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::wheels::chip;

    #[test]
    fn a_chip_is_asked_for_by_its_resource() {
        let of = |text: &str| {
            let Npu { resource, ring } = of_chip(&chip(text));
            format!("{} {ring}", resource.strip_prefix("huawei.com/").unwrap())
        };
        assert_eq!(of("d910"), "Ascend910 ascend-910");
        assert_eq!(["d910b", "snt9b", "910b3", "A3"].map(of), ["Ascend910 ascend-910b"; 4]);
        assert_eq!(
            ["310P", "d310", "950"].map(of),
            ["Ascend310P ascend-310P", "Ascend310 ascend-310", "npu ascend-npu"]
        );
    }
}
