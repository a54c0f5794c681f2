//! Which CEL variable holds what about a leaf.
//!
//! `roads<Place>` says of each leaf of a place whether the road's value stands there, `wanted<Place>` whether the road
//! wants its value there, `coming<Place>` whether it has to be written. For the pod these are lists by leaf, for containers lists by container and leaf.

use std::collections::BTreeMap;

use crate::plan::leaf::{Leaf, Place, Road, RoadLeaf};

/// A struct, map or keyed list above the leaves of one place.
pub struct Parent<'a> {
    pub place: Place,
    pub path: &'a [String],
    /// Its children that are parents too.
    pub parents: Vec<usize>,
    /// Its children that are leaves (members or, of a list, entries).
    pub leaves: Vec<usize>,
    /// Whether it is a keyed list.
    pub list: bool,
    /// The parent above, none directly under the pod spec or the container.
    pub above: Option<usize>,
}

/// Leaves and parents of a road, numbered.
pub struct Names<'a> {
    pub leaves: &'a [RoadLeaf],
    pub parents: Vec<Parent<'a>>,
    index: BTreeMap<&'a Leaf, usize>,
}

impl<'a> Names<'a> {
    /// Numbers the leaves of a road and their parents, parents before what is in them.
    pub fn of(road: &'a Road) -> Self {
        let mut names = Self {
            leaves: &road.0,
            parents: Vec::new(),
            index: road.0.iter().enumerate().map(|(n, line)| (&line.leaf, n)).collect(),
        };
        for (n, line) in road.0.iter().enumerate() {
            let leaf = &line.leaf;
            let depth = if leaf.entry.is_some() { leaf.path.len() } else { leaf.path.len() - 1 };
            let mut above = None;
            for d in 1..=depth {
                let list = leaf.entry.is_some() && d == depth;
                above = Some(names.parent(leaf.place, &leaf.path[..d], list, above));
            }
            if let Some(p) = above {
                names.parents[p].leaves.push(n);
            }
        }
        names
    }

    fn parent(&mut self, place: Place, path: &'a [String], list: bool, above: Option<usize>) -> usize {
        if let Some(found) = self.parents.iter().position(|p| p.place == place && p.path == path) {
            return found;
        }
        let n = self.parents.len();
        self.parents.push(Parent { place, path, parents: Vec::new(), leaves: Vec::new(), list, above });
        if let Some(above) = above {
            self.parents[above].parents.push(n);
        }
        n
    }

    /// The parent that leaf `n` lies in.
    pub fn parent_of(&self, n: usize) -> Option<usize> {
        self.parents.iter().position(|p| p.leaves.contains(&n))
    }

    /// The number of the leaf at a path, if the road has it.
    pub fn leaf_at(&self, place: Place, path: &[&str]) -> Option<usize> {
        let leaf = Leaf { place, path: path.iter().map(|s| (*s).to_owned()).collect(), entry: None };
        self.index.get(&leaf).copied()
    }

    /// The numbers of the road's entries in a keyed list.
    pub fn entries_at<'b>(&'b self, place: Place, list: &'b str) -> impl Iterator<Item = usize> + 'b {
        self.leaves
            .iter()
            .enumerate()
            .filter(move |(_, l)| l.leaf.place == place && l.leaf.entry.is_some() && l.leaf.path == [list])
            .map(|(n, _)| n)
    }

    /// All leaves below a parent.
    pub fn leaves_below(&self, parent: usize) -> Vec<usize> {
        let p = &self.parents[parent];
        let below = p.parents.iter().flat_map(|child| self.leaves_below(*child));
        p.leaves.iter().copied().chain(below).collect()
    }

    /// The numbers of the leaves in a place.
    pub fn in_place(&self, place: Place) -> impl Iterator<Item = usize> + '_ {
        self.leaves.iter().enumerate().filter(move |(_, l)| l.leaf.place == place).map(|(n, _)| n)
    }

    /// The road's value stands in leaf `n` (of the container at index `i`).
    pub fn roads(&self, n: usize) -> String {
        self.decision("roads", n)
    }

    /// The road wants its value in leaf `n` (of the container at index `i`).
    pub fn wanted(&self, n: usize) -> String {
        self.decision("wanted", n)
    }

    /// The road's value comes to leaf `n` (of the container at index `i`).
    pub fn coming(&self, n: usize) -> String {
        self.decision("coming", n)
    }

    /// The road's value goes before the team's in leaf `n` (of the container at index `i`).
    pub fn enforced(&self, n: usize) -> String {
        self.decision("enforced", n)
    }

    /// Whether any default forbids to change its values.
    pub fn forbid(&self) -> bool {
        self.leaves.iter().any(|line| line.wishes.iter().any(|wish| wish.forbidden))
    }

    fn decision(&self, prefix: &str, n: usize) -> String {
        let place = self.leaves[n].leaf.place;
        let container = if place == Place::Pod { "" } else { "[i]" };
        let index = self.in_place(place).position(|m| m == n).unwrap_or_default();
        format!("variables.{prefix}{place:?}{container}[{index}]")
    }
}
